"""`edge doctor`: checks this machine and says what to do about each finding."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from edge.cli.common import not_empty, plain_warnings, print_json, say_when_compiling
from edge.errors import ConfigError


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "doctor",
        help="check this machine and say what to do about each finding",
        description="Check Python, packages, kernels and their cache, models, speed, real-time rights, sound cards and "
        "the loopback; with --config also the devices and the broker it names. Exit code 0 with warnings only, else "
        "that of the first failure.",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=not_empty, help="configuration (TOML) whose devices and broker to try"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    plain_warnings()
    say_when_compiling()
    from edge.bench import synthetic_config
    from edge.config import load_config
    from edge.diagnosis import Finding, diagnose

    findings: list[Finding] = []

    def report(finding: Finding) -> None:
        findings.append(finding)
        if not args.json:
            print(f"{finding.status:<8} {finding.check:<12} {finding.found}", flush=True)
            if finding.remedy and finding.status != "ok":
                print(f"{'':<21} -> {finding.remedy}")

    config, configured = synthetic_config(4), False
    if args.config:
        try:
            config, configured = load_config(args.config), True
            report(Finding("config", "ok", args.config))
        except ConfigError as error:
            # the rest is looked at all the same, with the defaults
            report(Finding("config", "fail", str(error), "edge check explains each key", error.exit_code))
    for finding in diagnose(config, configured):
        report(finding)
    exit_code = next((finding.exit_code for finding in findings if finding.status == "fail"), 0)
    if args.json:
        print_json({"exit_code": exit_code, "findings": [dataclasses.asdict(finding) for finding in findings]})
    return exit_code
