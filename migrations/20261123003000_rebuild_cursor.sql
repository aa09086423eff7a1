-- A rebuild walks through the ids of a collection in order, so one cursor says how far it is.
drop table index_ranges;
-- Every id up to here is in the index; null until filling begins.
alter table index_generations add column cursor uuid;
