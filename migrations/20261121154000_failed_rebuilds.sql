-- A rebuild that failed is kept in mind with its reason, until the next one of its collection begins.
alter table index_generations drop constraint index_generations_state_known;

alter table index_generations
  add constraint index_generations_state_known check (state in ('building', 'live', 'retired', 'failed')),
  add column reason text;
