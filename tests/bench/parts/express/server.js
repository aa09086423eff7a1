// A minimal list of accounts as such services are often written: Express, a pool of connections, one page and one count per request.
const express = require("express");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const app = express();

app.get("/api/accounts", async (request, response) => {
  const { status, creditor, dueSince, limit = "25", page = "1" } = request.query;
  const where = "where a.deleted_at is null and a.status = $1 and a.creditor = $2 and a.due_date >= $3";
  const values = [status, creditor, dueSince];
  const rows = pool.query(
    `select a.*, c.name as customer_name from accounts a join customers c on c.id = a.customer_id ${where}
     order by a.due_date, a.id limit $4 offset $5`,
    [...values, Number(limit), (Number(page) - 1) * Number(limit)],
  );
  const count = pool.query(`select count(*) from accounts a ${where}`, values);
  try {
    const total = Number((await count).rows[0].count);
    response.json({ data: (await rows).rows, total, page: Number(page), limit: Number(limit) });
  } catch (error) {
    response.status(500).json({ error: error.message });
  }
});

app.get("/health", (_, response) => response.json({ status: "ok" }));
app.listen(Number(process.env.PORT), "127.0.0.1");
