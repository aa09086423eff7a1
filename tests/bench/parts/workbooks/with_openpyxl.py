"""The minimal import with openpyxl and psycopg: reads the sheet and copies its rows as text, without any check."""

import sys

import openpyxl
import psycopg

path, url = sys.argv[1:]
book = openpyxl.load_workbook(path, read_only=True, data_only=True)
rows = book.active.iter_rows(values_only=True)
width = len(next(rows))
with psycopg.connect(url) as connection, connection.cursor() as cursor:
    columns = ", ".join(f"c{column} text" for column in range(width))
    cursor.execute(f"create temporary table people ({columns})")
    with cursor.copy("copy people from stdin") as copy:
        for row in rows:
            copy.write_row(row)
