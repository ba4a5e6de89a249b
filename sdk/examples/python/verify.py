"""Ask a yingbi gateway about a sheet, through the agent on this machine.

    yingbi agent --identity me &
    python3 verify.py --product licence-sector --purpose industry < customers.csv > answers.csv

Needs Python 3.9 and nothing else. Identifiers go to the agent over loopback and
no further. Answers are stored before the jobs are forgotten, so that a crash at
any line costs nothing: run it again.
"""

import argparse
import csv
import json
import os
import sys
import time
import urllib.error
import urllib.request


class Agent:
    def __init__(self, url, token_file):
        self.url = url.rstrip("/")
        with open(token_file, encoding="ascii") as f:
            self.token = f.read().strip()
        # Loopback goes through no proxy, whatever the environment says.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None):
        """One call. What the agent refuses is a SystemExit that says why; what it
        puts off is tried again after the time that it gives."""
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(10):
            request = urllib.request.Request(self.url + path, data, method=method)
            request.add_header("Authorization", "Bearer " + self.token)
            request.add_header("Content-Type", "application/json")
            try:
                with self.opener.open(request) as response:
                    text = response.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                problem = json.loads(error.read())
                retry = problem.get("retryAfter")
                if retry is None or attempt == 9:
                    for fault in problem.get("subjects", []):
                        print(f"row {fault['index'] + 1}, {fault['field']}: {fault['what']}", file=sys.stderr)
                    raise SystemExit(f"{problem['reason']}: {problem['detail']}")
                time.sleep(retry)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent", default="http://127.0.0.1:8470")
    parser.add_argument("--token-file", default=os.environ.get("YINGBI_AGENT_TOKEN_FILE", "me/state/agent.token"))
    parser.add_argument("--product", required=True)
    parser.add_argument("--purpose", required=True)
    parser.add_argument("--out", default="-")
    args = parser.parse_args()
    agent = Agent(args.agent, args.token_file)

    products = {p["id"]: p for p in agent.call("GET", "/v1/products")["products"]}
    if args.product not in products:
        raise SystemExit(f"there is no product {args.product}: there are {', '.join(products)}")
    product = products[args.product]
    rows = list(csv.DictReader(sys.stdin))
    missing = [f for f in product["fields"] if not rows or f not in rows[0]]
    if missing:
        raise SystemExit(f"the sheet has no rows, or lacks the columns {', '.join(missing)}")
    subjects = [{f: row[f] for f in product["fields"]} for row in rows]
    ask = {"product": args.product, "purpose": args.purpose}

    quote = agent.call("POST", "/v1/quote", ask | {"units": len(subjects)})
    if not quote["admitted"]:
        raise SystemExit(f"refused: {quote['reason']} by {quote['rule']}")
    result = agent.call("POST", "/v1/verify", ask | {"subjects": subjects, "keep": True})

    out = sys.stdout if args.out == "-" else open(args.out + ".new", "w", newline="", encoding="utf-8")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(list(rows[0]) + ["found"] + product["labels"])
    for row, answer in zip(rows, result["answers"]):
        labels = answer.get("labels", {})
        writer.writerow(list(row.values()) + [str(answer["found"]).lower()] + [labels.get(l, "") for l in product["labels"]])
    out.flush()
    if args.out != "-":
        os.fsync(out.fileno())
        out.close()
        os.replace(args.out + ".new", args.out)
    # Stored: asking about the same subjects again is a new job from now on.
    for job in result["jobs"]:
        agent.call("DELETE", "/v1/kept/" + job["job"])
        print(f"job {job['job']}: entry {job['entry']}, {job['units']} subjects, {job['amount']} yuan", file=sys.stderr)


if __name__ == "__main__":
    main()
