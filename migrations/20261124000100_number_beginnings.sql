-- Searches look numbers up by their beginning and, for a customer's own number alone, by their ending.

create index payments_reference_squash on payments (squash(reference) text_pattern_ops);
create index customers_external_id_terms on customers using gin (number_terms(external_id));
