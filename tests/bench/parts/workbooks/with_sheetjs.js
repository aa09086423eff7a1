// The minimal import with SheetJS and pg: reads the sheet and inserts its rows as text, a thousand at a time, without any check.
const XLSX = require("xlsx");
const { Client } = require("pg");

const [path, url] = process.argv.slice(2);

async function main() {
  const book = XLSX.readFile(path, { dense: true });
  const [header, ...rows] = XLSX.utils.sheet_to_json(book.Sheets[book.SheetNames[0]], { header: 1, defval: null });
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("begin");
  await client.query(`create temporary table people (${header.map((_, column) => `c${column} text`).join(", ")})`);
  for (let from = 0; from < rows.length; from += 1000) {
    const part = rows.slice(from, from + 1000);
    const columns = header.map((_, column) => part.map((row) => (row[column] == null ? null : String(row[column]))));
    const places = columns.map((_, column) => `$${column + 1}::text[]`).join(", ");
    await client.query(`insert into people select * from unnest(${places})`, columns);
  }
  await client.query("commit");
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
