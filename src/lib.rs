//! A search-first collections API: Postgres is the truth, a change-data sync keeps Elasticsearch equal to it, lists and searches
//! read Elasticsearch, every write goes to SQL.
//!
//! # Map
//!
//! A room uses only rooms with a lower number; rooms with equal numbers do not know each other, but for the plain types. A test
//! reads the `use` lines.
//!
//! ```text
//! 11 cli  main                  what an operator types
//! 10 server  worker             assembly: URLs, background work
//! 9 health  dashboard           probes, metrics and figures of everything below
//! 8 sync  imports  exports  saved_searches  universal  notifications  openapi  realtime  kibana   work over all features
//! 7 collections                 the list of searchable collections
//! 6 features                    ledger < customers < accounts < payments < activities < timeline < analytics, users, jobs: routes, rules, SQL, document
//! 5 auth storage                caller, permissions, credentials, sessions; files in Postgres
//! 4 api  jobs                   conventions: request, reply, JSON, lists, writes, idempotency; durable background work
//! 3 http                        transport: listening, limits, headers, route table, problem
//! 2 app                         the one shared state
//! 1 db search freshness feed cache outgoing audit rate_limits sheets usage   drivers
//! 0 config error values validate operation metrics telemetry threads turns failpoint   plain types
//! ```
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | collection | one searchable kind: customers, accounts, payments, activities |
//! | document | what the index holds for a row |
//! | engine | what answers a list: Elasticsearch or Postgres |
//! | LSN | log sequence number: a position in the log of Postgres |
//! | epoch | the high bits of every version; a new one begins where LSNs may have gone back or changes were missed |
//! | visibility barrier | holds a batch until every new snapshot sees its transactions |
//! | dispatcher | splits batches into chunks, sends them concurrently, knows the contiguous acknowledged LSN |
//! | linger | short wait of documents that change faster than they can be written, so that one write shows many changes |
//! | fan-out | documents that follow a change of another row |
//! | backlog | documents and fan-outs to be written, stored in Postgres, drained by the backlog worker |
//! | dead letter | a document that Elasticsearch refuses; quarantined and retried |
//! | checkpoint | the confirmed and searchable LSN and the backlog of each collection, stored by the leader |
//! | lease | number of a leader's term, or of a worker's hold of a job; statements of an earlier one change nothing (fencing) |
//! | generation | one physical index behind an alias: building, live, retired, failed |
//! | rollback target | the previous generation, kept current for a while |
//! | seal | a link of the audit log's chain: the hashes of its entries, and of the link before |
//! | head | the newest seal, signed; kept elsewhere it is an anchor |
//! | high-water mark | highest LSN that Elasticsearch has seen of this database |
//! | anti-entropy sweep | endless comparison of documents with their rows |
//! | hub | the task that hands events to all who listen in a process |
//! | topic | what a listener asks to hear of: `payments`, `account:…` |
//! | lag | age of the leader's last heartbeat that came through the change stream and the index |
//! | job | background work as a row, done chunk by chunk; its kind says what it does |
//! | lane | jobs of like size, with workers of their own |
//! | sync token | read-your-writes token: the LSN of a write |
//! | allowance | requests of a user that a server may admit without asking Redis again |
//! | lock-out | an account or an address to which log-ins are refused, after too many wrong passwords |
//! | analysts | who reads the indices without persons, in Kibana |
//! | snapshot | what was owed at the end of a day, by account, and how debts moved between ageing buckets |
//! | frozen view | a list as of one moment, which its cursors walk: a point in time of Elasticsearch |
//!
//! # Invariants
//!
//! 1. Postgres is truth. Only the sync task writes to the index, and everything in the index can be rebuilt from Postgres.
//! 2. A position in the change stream is confirmed only after the index has acknowledged everything before it, and every index
//!    write carries a version that makes an older one lose.
//! 3. An acknowledged write is never lost: not by a crash, a restart, a dropped connection or a cancelled request.
//! 4. A list never lies: an unhealthy index never yields an empty answer. It yields the Postgres engine's, marked as such, or an
//!    error.
//! 5. A document is built in exactly one place per collection, used by sync, reindex, verify and reads alike.
//! 6. Sockets, caches and notifications hear of a change from the change stream, never from the handler that made it.
//! 7. Money is integer minor units with a currency: never a float, never summed across currencies. A balance changes only by a
//!    ledger entry in the same transaction. Rows are locked in one order; see `db::rows`.
//! 8. Nothing below the list of collections knows which collections there are.
//! 9. Personal data of debtors appears in no log, metric, error body or cache key, and only masked in the audit log and in answers to
//!    callers without the permission `personal`.
//! 10. Every change of a business row has an entry in the audit log, in the same transaction. Entries are never changed.

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod collections;
pub mod config;
pub mod dashboard;
pub mod db;
pub mod error;
pub mod exports;
pub mod failpoint;
pub mod features;
pub mod feed;
pub mod freshness;
pub mod health;
pub mod http;
pub mod imports;
pub mod jobs;
pub mod kibana;
pub mod metrics;
pub mod notifications;
pub mod openapi;
pub mod operation;
pub mod outgoing;
pub mod rate_limits;
pub mod realtime;
pub mod saved_searches;
pub mod search;
pub mod server;
pub mod sheets;
pub mod storage;
pub mod sync;
pub mod telemetry;
pub mod threads;
pub mod turns;
pub mod universal;
pub mod usage;
pub mod validate;
pub mod values;
pub mod worker;
