-- Lists that users keep under a name. They are found in SQL alone, and are in no index.

create table saved_searches (
  id uuid primary key,
  version bigint not null default 1,
  owner_id uuid not null
    constraint saved_searches_owner_id_fkey references users on delete restrict,
  name text not null
    constraint saved_searches_name_length check (char_length(name) between 1 and 100),
  -- The program knows which collections there are, and what their lists take; it shows a search that no longer fits as invalid.
  collection text not null
    constraint saved_searches_collection_length check (char_length(collection) between 1 and 100),
  -- The parameters of the list as its URL has them, sorted by name.
  query text not null
    constraint saved_searches_query_length check (char_length(query) <= 4000),
  sort text
    constraint saved_searches_sort_length check (char_length(sort) between 1 and 400),
  columns text[] not null default '{}',
  visibility text not null default 'private'
    constraint saved_searches_visibility_known check (visibility in ('private', 'team', 'global')),
  is_default boolean not null default false,
  is_pinned boolean not null default false,
  created_at timestamptz(3) not null default now(),
  updated_at timestamptz(3) not null default now()
);

create unique index saved_searches_default_key on saved_searches (owner_id, collection) where is_default;
create index saved_searches_owner_id on saved_searches (owner_id, id);
create index saved_searches_shared on saved_searches (id) where visibility <> 'private';

create trigger saved_searches_version
  before update on saved_searches
  for each row execute function increment_version();

grant select, insert, update, delete on saved_searches to collections_server;
