"""The change log made shorter without anyone missing a change. The rules, for every dialect.

A reader asks for what changed after the sequence it has seen, or whether an entry it has seen is
still there (`has_mark`). So of each stock the newest entry stays, dated with the least day of all
that are merged into it; and of the newest transactions the last entry stays whatever its stock,
because it is the mark that readers of that moment hold: without it they would read everything anew.
"""

# Marks of so many transactions stay: years of evenings.
KEPT_MARKS = 1_000

# Runs in SQLite and in PostgreSQL. `kept` are the sequences that stay.
KEPT = f"""
WITH newest AS (SELECT bse_code, max(sequence) AS sequence FROM change_log GROUP BY bse_code),
     marks AS (SELECT max(sequence) AS sequence FROM change_log GROUP BY token
               ORDER BY sequence DESC LIMIT {KEPT_MARKS})
SELECT sequence FROM newest UNION SELECT sequence FROM marks
"""  # noqa: S608 - a constant

LOWER_DATES = """
UPDATE change_log SET date = merged.first_day
FROM (SELECT max(sequence) AS newest, min(date) AS first_day FROM change_log
      GROUP BY bse_code) AS merged
WHERE change_log.sequence = merged.newest AND change_log.date > merged.first_day
"""

DROP_MERGED = f"DELETE FROM change_log WHERE sequence NOT IN ({KEPT})"  # noqa: S608 - a constant
