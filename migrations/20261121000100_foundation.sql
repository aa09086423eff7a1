-- House style. Keywords and names are lower-case, one clause to a line, tables are plural. Every constraint that a client can
-- run into has a name, because the name is what the server maps to an error. Enumerations are text with a check, so that adding
-- a value is one cheap migration. Ids are UUIDv7 made by the server, so inserts stay near the end of every index. Migrations
-- only go forward. Moments are kept to the millisecond, as the wire and the index show them.

-- Typing errors in names are found by trigrams when Postgres answers searches itself.
create extension if not exists pg_trgm;

-- The server and the sync task act as these roles and never as the owner of the schema. Roles belong to the whole cluster, so
-- two databases that migrate at the same moment may both try to make them.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['collections_server', 'collections_sync'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception
      when duplicate_object or unique_violation then
        null;
      when insufficient_privilege then
        raise exception 'role % is missing and % may not create it', wanted, current_user
          using hint = format('As a superuser: create role %I nologin; grant %I to %I;', wanted, wanted, current_user);
    end;
  end loop;
end
$$;

-- Folds a name for comparison: no case, no accents, no apostrophes, single blanks. `text::fold` is the same function in Rust and
-- a test holds the two together. The ICU root collation makes the result independent of the database's locale, and what separates
-- words is a list because the tables of Rust and Postgres are of different ages.
create function fold(value text) returns text
  language sql
  immutable
  strict
  parallel safe
  return btrim(regexp_replace(
    regexp_replace(
      replace(replace(replace(replace(
        translate(lower(normalize(replace(value, '´', ''), nfkd) collate "und-x-icu"), 'ςøłđðıħŧ', 'σolddiht'),
        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'),
      '[''`\u00ad\u02bc\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u0652\u200b-\u200f\u2018-'
      '\u201b\u202a-\u202e\u2032\u2060-\u206f\ufe00-\ufe0f\ufeff]',
      '', 'g'),
    '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf×÷\u055a-\u055f\u0589-\u058a\u05be\u05f3-'
    '\u05f4\u060c\u061b\u061f\u0964-\u0965\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3000-'
    '\u3004\u3008-\u3020\u3030\u303d-\u303f\u30fb\ufffc-\ufffd\U0001f000-\U0001faff]+',
    ' ', 'g'));

-- A folded text between blanks: a word in it is then `like '% word %'` and the beginning of one `like '% wo%'`, both found by
-- trigrams however short they are.
create function padded(value text) returns text
  language sql
  immutable
  strict
  parallel safe
  return ' ' || fold(value) || ' ';

-- Account numbers and references compare without separators and case.
create function squash(value text) returns text
  language sql
  immutable
  strict
  parallel safe
  return replace(fold(value), ' ', '');

-- The endings of a number from four characters on: "the last four digits" is then one index lookup.
create function suffixes(value text) returns text[]
  language sql
  immutable
  strict
  parallel safe
  return array(select right(value, length) from generate_series(4, least(length(value), 12)) as length);

-- What a number is found by: itself and its endings.
create function number_terms(value text) returns text[]
  language sql
  immutable
  parallel safe
  return case when value is null then '{}'::text[] else array[squash(value)] || suffixes(squash(value)) end;

-- The words of a folded name in one order without repetitions: a full name is the same whichever part comes first.
create function unordered(folded text) returns text
  language sql
  immutable
  strict
  parallel safe
  return array_to_string(array(
    select distinct word collate "C"
    from unnest(string_to_array(btrim(folded), ' ')) as word
    order by 1), ' ');

-- Counts the versions of a row. The version is what clients see as the ETag, so an update that changes nothing keeps it.
create function count_version() returns trigger
  language plpgsql
as $$
begin
  if new is distinct from old then
    new.version := old.version + 1;
    new.updated_at := now();
  end if;
  return new;
end
$$;

-- Counts the changes of those columns that other documents show. The count is part of the table's replica identity, and the
-- stream carries an old key only when an identity column changed: so the sync task can tell a rename, which a thousand documents
-- have to follow, from every other change, and no name travels in the stream.
create function count_shown() returns trigger
  language plpgsql
as $$
begin
  new.shown := old.shown + 1;
  return new;
end
$$;

create function refuse_change() returns trigger
  language plpgsql
as $$
begin
  raise exception '% is append only', tg_table_name
    using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
end
$$;
