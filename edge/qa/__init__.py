"""Quality assurance: many files measured against clean ones, criteria, and a report (docs/quality.md)."""
