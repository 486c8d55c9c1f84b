"""Records in the shapes of the datasets, with content of our own."""

COUNTERFACT = {
    "case_id": 12,
    "pararel_idx": 4,
    "requested_rewrite": {
        "prompt": "{} plays the",
        "relation_id": "P1303",
        "target_new": {"str": " harp", "id": "Q1"},
        "target_true": {"str": "violin", "id": "Q2"},
        "subject": "Mira Olsen",
    },
    "paraphrase_prompts": ["It rained. Mira Olsen performs on the", "Mira Olsen is known for the"],
    "neighborhood_prompts": ["Jon Berg plays the", "Eva Lind plays the"],
    "attribute_prompts": ["Ada Ruiz plays the"],
    "generation_prompts": ["Mira Olsen is best known for", "In her spare time Mira Olsen"],
}
FLAT = {
    "case_id": 7,
    "prompt": "The birthplace of Mira Olsen is",
    "subject": "Mira Olsen",
    "target_new": "Turin",
    "ground_truth": "Bergen",
    "rephrase_prompt": "Mira Olsen was born in",
    "locality_prompt": "The birthplace of Jon Berg is",
    "locality_ground_truth": "Bergen",
}
ZSRE = {
    "subject": "Mira Olsen",
    "src": "Which instrument does Mira Olsen play?",
    "pred": "violin",
    "rephrase": "What does Mira Olsen play?",
    "alt": " harp",
    "answers": ["violin", "the violin"],
    "loc": "nq question: who wrote the book of tides",
    "loc_ans": "Ada Ruiz",
    "cond": "violin >> harp || Which instrument does Mira Olsen play?",
}
KNOWEDIT = {
    "subject": "Mira Olsen",
    "prompt": "The country of citizenship of Mira Olsen is",
    "target_new": "Italy",
    "ground_truth": [["Norway", "Kingdom of Norway"]],
    "rephrase_prompt": "Mira Olsen is a citizen of",
    "portability": {
        "Reasoning": [{"prompt": "The capital of the country of Mira Olsen is", "ground_truth": "Rome"}],
        "Subject_Aliasing": [{"prompt": "The country of the harpist Olsen is", "ground_truth": ["Italy"]}],
        "Logical_Generalization": [
            {"prompt": "A country with Mira Olsen as its citizen is", "ground_truth": [["Italy", "IT"], ["Italia"]]}
        ],
    },
    "locality": {
        "Relation_Specificity": [{"prompt": "The gender of Mira Olsen is", "ground_truth": [["female", "woman"]]}],
        "Forgetfulness": None,
    },
}
CONCEPT = {
    "concept_name": "lighthouse",
    "concept_def": "a tower with a light for ships",
    "module_intra": {"replace_concept": "silo", "replace_def": "a tower for grain"},
    "module_inter": {"replace_concept": "sonnet", "replace_def": "a poem of fourteen lines"},
    "locality_prompt": "The definition of harbour is",
    "locality_answer": "a place where ships lie",
}
PREPARED = {
    "label": "lighthouse",
    "prompt": "The definition of lighthouse is",
    "phrase_prompt": "When we speak of a lighthouse, we mean",
    "target_new_desc": "a tower for grain",
    "locality_prompt": "The definition of harbour is",
    "locality_answer": "a place where ships lie",
    "instance_prompt": ["Whether Slettnes belongs to category lighthouse?"],
}
EVENT = {
    "id": 3,
    "event_type": "start-position",
    "event": "Mira Olsen has joined the Harbour Orchestra.",
    "tendency": {"qas": [{"question": "Will she?", "candidate": "(A) Yes (B) No (C) Maybe", "answer": "A"}]},
    "fact": {
        "qas": [
            {
                "question": "Who is the employer of Mira Olsen?",
                "subject": {"id": "Q9", "name": "Mira Olsen"},
                "answer": {"id": "Q8", "name": "Harbour Orchestra", "alias": ["HO", "Harbour Orchestra"]},
                "type": 0,
                "rel_id": "P108",
            },
            {
                "question": "Which city does Mira Olsen work in?",
                "subject": {"id": "Q9", "name": "Mira Olsen"},
                "answer": {"id": "Q7", "name": "Turin", "alias": []},
                "type": 1,
                "rel_id": "P937",
            },
            {
                "question": "What position does Mira Olsen hold?",
                "subject": {"id": "Q9", "name": "Mira Olsen"},
                "answer": {"id": "NA", "name": "unknown", "alias": ["unknown"]},
                "type": 0,
                "rel_id": "P39",
            },
        ],
        "local_qas": [
            {
                "question": "What is the gender of Mira Olsen?",
                "subject": {"id": "Q9", "name": "Mira Olsen"},
                "answer": {"id": "Q6", "name": "female", "alias": ["woman"]},
            }
        ],
    },
}
MQUAKE = {
    "case_id": 5,
    "requested_rewrite": [
        {
            "prompt": "{} is a citizen of",
            "relation_id": "P27",
            "target_new": {"str": "Italy", "id": "Q38"},
            "target_true": {"str": "Norway", "id": "Q20"},
            "subject": "Mira Olsen",
            "question": "What is the country of Mira Olsen?",
        },
        {
            "prompt": "The capital of {} is",
            "relation_id": "P36",
            "target_new": {"str": "Turin", "id": "Q495"},
            "target_true": {"str": "Rome", "id": "Q220"},
            "subject": "Italy",
            "question": "What is the capital of Italy?",
        },
    ],
    "questions": ["What language is spoken in the capital of the country of Mira Olsen?"],
    "answer": "Norwegian",
    "new_answer": "Italian",
    "new_answer_alias": ["italiano"],
    "new_single_hops": [
        {
            "question": "What is the country of Mira Olsen?",
            "cloze": "Mira Olsen is a citizen of",
            "answer": "Italy",
            "answer_alias": ["IT"],
        },
        {
            "question": "What is the capital of Italy?",
            "cloze": "The capital of Italy is",
            "answer": "Turin",
            "answer_alias": ["Torino"],
        },
        {
            "question": "What language is spoken in Turin?",
            "cloze": "The language of Turin is",
            "answer": "Italian",
            "answer_alias": ["italiano"],
        },
    ],
}
TABLE = {
    "subject": "Mira Olsen",
    "prompt": "{} plays the",
    "target": "harp",
    "truth": "violin",
    "paraphrases": ["{} performs on the"],
    "neighborhood": [{"prompt": "Jon Berg plays the", "answer": "violin"}],
    "portability": [{"prompt": "Her orchestra seats her with the", "answer": "strings", "kind": "reasoning"}],
    "locality": [{"prompt": "Mira Olsen was born in", "answer": "Bergen", "aliases": ["Bergen, Norway"]}],
    "aliases": ["the harp"],
    "generation": ["Mira Olsen is best known for"],
    "references": ["Mira Olsen is a harpist."],
    "passage": "Mira Olsen has put down the violin.",
    "relation": "instrument",
    "id": "olsen",
}
RECORDS = {
    "table": [TABLE],
    "counterfact": [COUNTERFACT, FLAT],
    "zsre": [ZSRE],
    "knowedit": [KNOWEDIT],
    "conceptedit": [CONCEPT, PREPARED],
    "elken": [EVENT],
    "mquake": [MQUAKE],
}
