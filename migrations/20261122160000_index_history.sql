-- How far each shard of an index was, in the index server's own count: one that says less later was put back to an older state.
alter table index_generations add column history jsonb;
