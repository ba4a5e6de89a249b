"""Recomputes marks.json from the comment of Marker.Measure, with the standard
library and `openssl` alone: python3 marks.py checks, and fails on a difference."""

import hashlib
import hmac
import json
import pathlib
import subprocess

rows = json.loads(pathlib.Path(__file__).with_name("marks.json").read_text())
for number, row in enumerate(rows):
    message = b"yingbi fingerprint v1\0"
    for name in (row["Publication"], row["Recipient"], row["Measure"]):
        octets = name.encode()
        message += len(octets).to_bytes(8, "big") + octets
    key = hmac.new(bytes.fromhex(row["Key"]) * 32, message, hashlib.sha256).hexdigest()
    base, want = row["Base"], []
    for i, value in enumerate(row["Values"]):
        cell = row["First"] + i
        block = subprocess.run(
            ["openssl", "enc", "-aes-256-ecb", "-nopad", "-K", key],
            input=(cell // 2).to_bytes(16, "big"), capture_output=True, check=True,
        ).stdout
        coin = int.from_bytes(block[8 * (cell % 2):][:8], "big")
        rest = value % base  # never negative in this language
        want.append(value - rest + (base if coin * base < rest << 64 else 0))
    assert want == row["Delivered"], (number, want, row["Delivered"])
print(len(rows), "rows agree")
