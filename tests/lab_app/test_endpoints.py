"""What other programs may ask of the served lab."""

from __future__ import annotations

import time

import pytest

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
    assert set(endpoints["named_endpoints"]) == {"/start_run", "/run_status", "/run_events", "/ask_run", "/undo_run"}
    assert not endpoints["unnamed_endpoints"]


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
