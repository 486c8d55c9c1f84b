"""`python -m tests.lab_app.serve HOME PORT`: the lab with a scripted worker, in a process of its own."""

import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def main(home: str, port: str) -> None:
    from core.runs.spec.admission import Offer
    from lab_app.lab import Lab
    from lab_app.launch import serve
    from tests.lab_app.worker import ScriptedWorker

    lab = Lab(home, worker=False, offered=Offer(data=("counterfact",)))
    with ScriptedWorker(lab.store, pace=float(os.environ.get("PACE", 0.03))):
        serve(lab, port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
