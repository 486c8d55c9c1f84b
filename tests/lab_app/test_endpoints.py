"""What other programs may ask of the served lab."""

from __future__ import annotations

import json
import time
import urllib.request
from importlib.util import find_spec
from types import SimpleNamespace

import httpx
import pytest
from gradio.utils import get_function_description

from core.errors import UserError
from core.runs.spec.plan import Past
from core.runs.store import study_files
from lab_app.api import looks, questions, runs, takeaway
from lab_app.handlers.there import lanes_there
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import LANES, record

pytestmark = pytest.mark.slow

ENDPOINTS = (
    *("start_run", "run_status", "run_events", "list_runs", "steer_run", "delete_run", "undo_run", "add_lanes"),
    *("ask_run", "fact_card", "film_strip", "study_run", "run_studies", "study_result", "stop_study"),
    *("delete_study", "list_studies"),
    *("preview_facts", "export_run", "stop_export"),
)
KEY = "a key that nobody guesses"

SPEC = {
    "model": "pocket",
    "facts": {"items": [{"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}]},
    "round_size": 1,
    "lanes": [{"method": "memit"}, {"method": "memit", "guards": [{"name": "revive", "tau": 0.1}]}],
}


@pytest.fixture(scope="module")
def client(served):
    from gradio_client import Client

    return Client(served.address, verbose=False, analytics_enabled=False)


def test_only_a_deliberate_few_are_published(client):
    endpoints = client.view_api(return_format="dict")
    assert set(endpoints["named_endpoints"]) == {f"/{name}" for name in ENDPOINTS}
    assert not endpoints["unnamed_endpoints"]


def test_each_says_what_it_takes_and_gives(client):
    for name, about in client.view_api(return_format="dict")["named_endpoints"].items():
        description, parameters, gives = get_function_description(functions()[name[1:]])
        assert len(description) > 15, name
        assert gives, name
        for parameter in about["parameters"]:
            assert parameters.get(parameter["parameter_name"]), f"{name}: {parameter['parameter_name']}"
            assert parameter["python_type"]["type"] != "Any"


def functions():
    """The endpoints' functions by name."""
    found = {}
    for module in (runs, questions, looks, takeaway):
        found |= {made.__name__: made for made in module.endpoints(SimpleNamespace(lab=None))}
    return found


def test_a_run_through_the_endpoints(client):
    run = client.predict(SPEC, api_name="/start_run")["run"]
    for _ in range(300):
        status = client.predict(run, api_name="/run_status")
        if status["status"] == "done":
            break
        time.sleep(0.1)
    assert status["status"] == "done"
    found = client.predict(run, 0, api_name="/run_events")
    assert found["events"][0]["kind"] == "started"
    assert client.predict(run, found["last"], api_name="/run_events")["events"] == []
    answer = client.predict(run, "The capital of France is", None, api_name="/ask_run")
    assert [said["base"] for said in answer["answers"]] == [True, False, False]
    assert answer["answers"][0]["text"].startswith("Paris")
    lane = found["events"][0]["lanes"][1]["label"]
    asked = {"prompt": "The capital of France is", "lane": lane, "without": [1]}
    answer = client.predict(run, api_name="/ask_run", **asked)
    assert [said["lane"] for said in answer["answers"]] == ["", lane]
    assert answer["answers"][1]["text"] == "all but [1]"
    assert client.predict(run, api_name="/undo_run")["to"] == 0
    assert client.predict(run, api_name="/run_status")["status"] == "paused"
    assert client.predict(run, found["last"], api_name="/run_events")["events"] == [{"kind": "undone", "to": 0}]
    with pytest.raises(Exception, match="nothing to undo"):
        client.predict(run, api_name="/undo_run")


def test_no_run_is_needed_to_ask_the_unedited_model(client):
    answer = client.predict("", "The capital of France is", api_name="/ask_run")
    assert [said["base"] for said in answer["answers"]] == [True]
    assert answer["answers"][0]["text"].startswith("Paris")


def test_bad_questions_are_answered_in_words(client):
    with pytest.raises(Exception, match="did you mean"):
        client.predict(SPEC | {"lanes": [{"method": "memitt"}]}, api_name="/start_run")
    with pytest.raises(Exception, match="no run of that id"):
        client.predict("nothing", api_name="/run_status")


@pytest.mark.parametrize("part", [{"facts": {"source": "/etc/passwd.csv"}}, {"statistics": {"texts": "/etc/passwd"}}])
def test_a_spec_from_outside_names_no_files(client, part):
    with pytest.raises(Exception, match="names no files"):
        client.predict({**SPEC, **part}, api_name="/start_run")


def test_a_key_brings_runs_together_and_an_id_cannot_be_guessed(client):
    run = client.predict(SPEC, KEY, api_name="/start_run")["run"]
    other = client.predict(SPEC, KEY + " either", api_name="/start_run")["run"]
    assert [found["id"] for found in client.predict(KEY, api_name="/list_runs")["runs"]] == [run]
    assert len({run, other}) == 2
    assert len(bytes.fromhex(run)) == 10  # 80 random bits
    with pytest.raises(Exception, match="at least 16 characters"):
        client.predict(SPEC, "anna", api_name="/start_run")
    for key in ("", "anna"):
        with pytest.raises(Exception, match="key"):
            client.predict(key, api_name="/list_runs")


def test_a_run_is_followed_and_steered(client, served):
    long = {**SPEC, "facts": {"source": "pocket", "count": 1000}, "round_size": 1}
    run = client.predict(long, api_name="/start_run")["run"]
    news = client.predict(run, 0, 30, api_name="/run_events")
    assert news["events"][0]["kind"] == "started"
    began = time.monotonic()
    assert client.predict(run, news["last"] + 1000, 0.3, api_name="/run_events")["events"] == []
    assert time.monotonic() - began > 0.3
    client.predict(run, "pause", api_name="/steer_run")
    with pytest.raises(Exception, match="did you mean"):
        client.predict(run, "pauze", api_name="/steer_run")
    client.predict(run, "stop", api_name="/steer_run")
    while served.store.get(run).status != "stopped":
        time.sleep(0.05)
    assert client.predict(run, 10**6, 30, api_name="/run_events")["status"] == "stopped"  # at once: nothing comes


def test_facts_are_checked_before_a_run(client):
    found = client.predict({"items": [*SPEC["facts"]["items"], {"subject": "Rome"}]}, api_name="/preview_facts")
    assert found["count"] == 2
    assert [(problem["row"], problem["column"]) for problem in found["problems"]] == [(2, "prompt")]
    found = client.predict({"text": "France, The capital of {} is, Lyon, Paris"}, api_name="/preview_facts")
    assert (found["facts"][0]["target"], found["problems"]) == ("Lyon", [])
    assert len(client.predict({"count": 3, "seed": 1}, api_name="/preview_facts")["facts"]) == 3
    for facts in ({"source": "/etc/passwd"}, {"items": "France"}, {"items": ["France"]}, {"text": ""}):
        with pytest.raises(Exception, match=r"preview takes|list of objects|Nothing pasted"):
            client.predict(facts, api_name="/preview_facts")


def test_studies_lanes_and_files(client, served):
    run = record(served.store, rounds=2)
    names = [study["name"] for study in client.predict(api_name="/list_studies")["studies"]]
    assert "scores" in names
    study = client.predict(run, "scores", {"facts": 5}, api_name="/study_run")["study"]
    found = client.predict(run, study, api_name="/study_result")
    while found["status"] != "done":
        time.sleep(0.05)
        found = client.predict(run, study, api_name="/study_result")
    assert found["found"]["tables"]
    with pytest.raises(Exception, match="did you mean"):
        client.predict(run, "scors", api_name="/study_run")
    with pytest.raises(Exception, match="no study"):
        client.predict(record(served.store, rounds=1), study, api_name="/study_result")
    added = client.predict(run, [{"method": "memit", "name": "third"}], api_name="/add_lanes")
    assert added["lanes"] == ["third"]
    made = client.predict(run, "lora", "MEMIT", 2, {"rank": 1}, api_name="/export_run")
    with urllib.request.urlopen(served.address + made["url"]) as answer:
        assert len(answer.read()) == made["bytes"]
    assert made["about"]["layers"][0]["error"] == 0.04
    for kind, options, message in (("zp", {}, "known are"), ("zip", {"figures": "/etc"}, "no option")):
        with pytest.raises(Exception, match=message):
            client.predict(run, kind, None, None, options, api_name="/export_run")


def test_results_of_studies_are_listed_and_deleted_by_whose_run_it_is(client, served):
    run = client.predict(SPEC, KEY, api_name="/start_run")["run"]
    while client.predict(run, api_name="/run_status")["status"] != "done":
        time.sleep(0.05)
    numbers = [client.predict(run, "keys", {"energy": e}, api_name="/study_run")["study"] for e in (0.5, 0.7)]
    while client.predict(run, numbers[1], api_name="/study_result")["status"] != "done":
        time.sleep(0.05)
    found = client.predict(run, numbers[0], api_name="/study_result")["found"]
    study_files.write(found, served.store.get(run).folder, "keys-wide")
    listed = client.predict(run, api_name="/run_studies")["studies"]
    assert {(one["study"], one["result"]) for one in listed} == {(None, "keys-wide"), *((n, None) for n in numbers)}
    assert {one["options"]["energy"] for one in listed if one["study"]} == {0.5, 0.7}
    assert client.predict(run, 0, "keys-wide", api_name="/study_result")["found"]["tables"] == found["tables"]
    for which in ({"study": numbers[0]}, {"result": "keys-wide"}):
        for key in ("", KEY + " of another"):
            with pytest.raises(Exception, match="owner of a run"):
                client.predict(run, key=key, api_name="/delete_study", **which)
        assert client.predict(run, key=KEY, api_name="/delete_study", **which) == {"deleted": True}
    for key in ("../../keys", "keys-wide"):
        with pytest.raises(Exception, match="no result|no study was kept"):
            client.predict(run, result=key, api_name="/study_result")
    assert [one["study"] for one in client.predict(run, api_name="/run_studies")["studies"]] == numbers[1:]


def test_a_study_is_stopped(client, served):
    run = record(served.store, rounds=2)
    study = client.predict(run, "cost", api_name="/study_run")["study"]  # goes on until it is stopped
    assert client.predict(run, study, api_name="/stop_study")["status"] == "stopped"
    assert client.predict(run, study, api_name="/study_result")["status"] == "stopped"


def test_an_export_is_stopped(client, served):
    run = record(served.store, rounds=2)
    making = client.submit(run, "model", "MEMIT", 1, api_name="/export_run")  # goes on until it is stopped
    until = time.monotonic() + 60
    while not served.store.commands.waiting(run, "export") and time.monotonic() < until:
        time.sleep(0.02)
    assert client.predict(run, api_name="/stop_export") == {"stopped": 1}
    with pytest.raises(Exception, match="Stopped; nothing of it was kept"):
        making.result(timeout=60)
    assert client.predict(run, api_name="/stop_export") == {"stopped": 0}


def test_a_fact_and_its_lanes(client, served):
    run = record(served.store, rounds=4)
    lanes = client.predict(run, 3, api_name="/fact_card")["lanes"]
    assert [(card["lane"], card["index"], card["unedited"]) for card in lanes] == [(lane, 3, False) for lane in LANES]
    (card,) = client.predict(run, 1, LANES[1], 2, True, api_name="/fact_card")["lanes"]
    assert (card["lane"], card["index"], card["unedited"], card["proof"]) == (LANES[1], 1, True, None)
    client.predict(run, [{"method": "memit", "name": "added"}], api_name="/add_lanes")
    while client.predict(run, api_name="/run_status")["status"] != "done":
        time.sleep(0.05)
    lanes = client.predict(run, 3, api_name="/fact_card")["lanes"]
    assert [card["lane"] for card in lanes] == [*LANES, "added"]
    with pytest.raises(Exception, match="no lane"):
        client.predict(run, 3, "nobody", api_name="/fact_card")
    with pytest.raises(Exception, match="no run of that id"):
        client.predict("nothing", 3, api_name="/fact_card")


def test_prompts_over_the_rounds(client):
    probes = {"measure": {"probes": ["The longest river is"]}}
    run = client.predict({**SPEC, **probes}, api_name="/start_run")["run"]
    while client.predict(run, api_name="/run_status")["status"] != "done":
        time.sleep(0.05)
    strips = client.predict(run, api_name="/film_strip")["strips"]
    assert [strip["prompt"] for strip in strips] == ["The longest river is"] * 2
    assert [[frame["round"] for frame in strip["rounds"]] for strip in strips] == [[0, 1]] * 2
    assert strips[1]["rounds"][1]["text"] == "the Rhine <b>1</b>"
    (asked,) = client.predict(run, "Another prompt", strips[0]["lane"], api_name="/film_strip")["strips"]
    assert (asked["prompt"], asked["lane"]) == ("Another prompt", strips[0]["lane"])
    assert [frame["round"] for frame in asked["rounds"]] == [0, 1]


def test_strips_are_of_what_stands():
    said = {"kind": "measured", "lane": "a", "probes": [{"prompt": "p", "text": "before"}]}
    again = {**said, "round": 1, "probes": [{"prompt": "p", "text": "once more"}]}
    other = {**said, "lane": "b", "round": 1}
    events = [{**said, "round": 0}, {**said, "round": 1}, other, {"kind": "undone", "to": 0}, again]
    assert looks.saved(events, ["b", "a"]) == [
        {
            "lane": "a",
            "prompt": "p",
            "rounds": [{"round": 0, "text": "before"}, {"round": 1, "text": "once more"}],
        }
    ]
    with pytest.raises(UserError, match="not begun"):
        lanes_there(Past([]))


def test_a_run_is_deleted_by_whose_it_is_alone(client, served):
    run = client.predict(SPEC, KEY, api_name="/start_run")["run"]
    for key in ("", KEY + " not"):
        with pytest.raises(Exception, match="owner of the run"):
            client.predict(run, key, api_name="/delete_run")
    nobodys = client.predict(SPEC, api_name="/start_run")["run"]
    with pytest.raises(Exception, match="owner of the run"):
        client.predict(nobodys, "", api_name="/delete_run")
    folder = served.store.get(run).folder
    assert client.predict(run, KEY, api_name="/delete_run") == {"deleted": True}
    assert served.store.get(run) is None
    assert not folder.exists()
    with pytest.raises(Exception, match="no run of that id"):
        client.predict(run, KEY, api_name="/delete_run")


@pytest.mark.skipif(find_spec("mcp") is None, reason='needs the package mcp: pip install ".[mcp]"')
def test_the_same_as_tools_for_mcp_clients(served):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def scene():
        async with (
            streamable_http_client(f"{served.address}/gradio_api/mcp/") as (reads, writes, _),
            ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            assert set(tools) == set(ENDPOINTS)
            assert "spec" in tools["start_run"].inputSchema["required"]
            assert "request" not in tools["start_run"].inputSchema["properties"]
            started = await session.call_tool("start_run", {"spec": SPEC})
            assert not started.isError
            wrong = await session.call_tool("run_status", {"run": "nothing"})
            assert wrong.isError
            assert "no run of that id" in wrong.content[0].text
            return started.content[0].text

    assert len(run_apart(scene())) > 20


def test_a_page_s_own_handlers_tell_nothing_of_python(served):
    """They are reached without the page too, with anything in the place of what it sends."""
    wanted = {"start", "spec", "ask", "paste", "rename", "compare", "add", "sweep"}
    handlers = httpx.get(f"{served.address}/config", timeout=60).json()["dependencies"]
    seen, told = set(), []
    for number, handler in enumerate(handlers):
        name = handler["api_name"]
        if name.rstrip("_0123456789") not in wanted:
            continue
        seen.add(name.rstrip("_0123456789"))
        page = f"anything {number}"
        asked = {"fn_index": handler["id"], "data": [{"a": 1}] * len(handler["inputs"]), "event_data": "x"}
        httpx.post(f"{served.address}/gradio_api/queue/join", json={**asked, "session_hash": page}, timeout=60)
        with httpx.stream("GET", f"{served.address}/gradio_api/queue/data?session_hash={page}", timeout=60) as news:
            lines = (json.loads(line[5:]) for line in news.iter_lines() if line.startswith("data:"))
            end = next(line for line in lines if line["msg"] in ("process_completed", "close_stream"))
        told.append((end.get("output") or {}).get("error"))
    assert seen == wanted
    assert [error for error in told if error] == []
