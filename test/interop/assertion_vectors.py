"""Runs the Python verifier of examples/login-backend against the test vectors of assertions."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../examples/login-backend"))
sys.dont_write_bytecode = True
from assertion import Rejected, verify  # noqa: E402

with open(sys.argv[1], encoding="utf-8") as opened:
    vectors = json.load(opened)
wrong = []
for vector in vectors["vectors"]:
    try:
        verify(vector["token"], vector["expect"], vectors, vector.get("usedBefore", False))
        taken = True
    except Rejected:
        taken = False
    if taken != vector["valid"]:
        wrong.append(vector["name"])
print(json.dumps({"run": len(vectors["vectors"]), "wrong": wrong}))
