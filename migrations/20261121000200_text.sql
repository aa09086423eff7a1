-- Text functions that the Postgres search engine and generated columns use.

-- Folds a name for comparison: no case, no accents, no apostrophes, single blanks. `text::fold` is the same function in Rust; a
-- test holds the two together. The ICU root collation makes the result independent of the database's locale. Separators are
-- listed, because the Unicode tables of Rust and Postgres differ in age.
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

-- Puts a folded text between blanks: a word in it is then `like '% word %'` and a prefix `like '% wo%'`. Trigrams find both,
-- however short they are.
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

-- The endings of a number from four characters on: a search for the last four digits is one index lookup.
create function suffixes(value text) returns text[]
  language sql
  immutable
  strict
  parallel safe
  return array(select right(value, length) from generate_series(4, least(length(value), 12)) as length);

-- The search terms of a number: itself and its endings.
create function number_terms(value text) returns text[]
  language sql
  immutable
  parallel safe
  return case when value is null then '{}'::text[] else array[squash(value)] || suffixes(squash(value)) end;

-- The distinct words of a folded name, sorted: a full name is the same whichever part comes first.
create function unordered(folded text) returns text
  language sql
  immutable
  strict
  parallel safe
  return array_to_string(array(
    select distinct word collate "C"
    from unnest(string_to_array(btrim(folded), ' ')) as word
    order by 1), ' ');
