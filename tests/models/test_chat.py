"""What a chat template puts around a prompt; templates that cannot be used are told."""

import pytest

from core.errors import UserError
from core.models.chat import Frame, chat_frame
from core.models.loading import load_model
from core.models.tokens import answer_ids
from tests import toys

TEMPLATES = {
    "turns": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "inst": "{{ bos_token }}[INST] {{ messages[0].content | trim }} [/INST]",
    "dated": "Today is {{ strftime_now('%d %b %Y') }}. {{ messages[0].content }}\nA: "
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>\n{% endif %}",
}
FRAMES = {
    "turns": Frame("<|user|>\n", "<|end|>\n<|assistant|>\n"),
    "inst": Frame("<s>[INST] ", " [/INST]"),
    "dated": Frame("Today is 26 Jul 2024. ", "\nA: <think></think>\n"),
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("tokenizer", [toys.tokenizer(bos=False), toys.pieces()], ids=["bytes", "pieces"])
def test_a_prompt_is_asked_as_the_template_says(tokenizer, name):
    tokenizer.chat_template = TEMPLATES[name]
    frame = chat_frame(tokenizer, "it")
    assert frame == FRAMES[name]
    if name != "dated":
        turns = [{"role": "user", "content": "What is France?"}]
        whole = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert frame.before + "What is France?" + frame.after == whole


@pytest.mark.parametrize(
    "template, told",
    [
        (None, "has no chat template.*instruct version"),
        ("{{ raise_exception('no lone users') }}", "cannot be used.*no lone users"),
        ("{% for %}", "cannot be used"),
        ("nothing", "0 times, not once"),
        ("{{ messages[0].content }} {{ messages[0].content }}", "2 times, not once"),
    ],
)
def test_templates_that_cannot_be_used(template, told):
    tokenizer = toys.tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(UserError, match=told):
        chat_frame(tokenizer, "it")


def test_models_ask_through_the_template_of_their_folder(tmp_path):
    words = toys.pieces()
    words.chat_template = TEMPLATES["inst"]
    toys.tiny(tmp_path, "llama", words=words)
    plain, chat = (load_model(str(tmp_path), device="cpu", chat=chat) for chat in (False, True))
    assert plain.fingerprint == chat.fingerprint
    assert plain.asked("Rome") == "Rome"
    assert chat.asked("Rome") == "<s>[INST] Rome [/INST]"
    assert chat.encode(chat.asked("Rome")).count(1) == 1  # the template spells the BOS that the tokenizer adds
    assert chat.encode("Rome") == plain.encode("Rome")
    text, last = chat.slot_last("Rome knows {} and Rome", "Rome", "Rome runs. ")
    assert text == "<s>[INST] Rome runs. Rome knows Rome and Rome [/INST]"
    ids = chat.encode(text)
    assert chat.tokenizer.decode(ids[: last + 1], skip_special_tokens=True) == "[INST] Rome runs. Rome knows Rome"
    answer = answer_ids(chat.tokenizer, text, "Lyon")
    assert chat.tokenizer.decode([*ids, *answer], skip_special_tokens=True).endswith("and Rome [/INST] Lyon")


def test_a_model_without_a_template_is_refused(tmp_path):
    toys.tiny_llama(tmp_path)
    with pytest.raises(UserError, match=r"has no chat template"):
        load_model(str(tmp_path), device="cpu", chat=True)
