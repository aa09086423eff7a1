-- How much each user has done on a day in UTC. Servers add up and write every few seconds.

create table user_days (
  user_id uuid not null
    constraint user_days_user_id_fkey references users on delete restrict,
  day date not null,
  calls bigint not null,
  searches bigint not null,
  constraint user_days_key primary key (user_id, day)
);

create index user_days_day on user_days (day);

grant select, insert, update, delete on user_days to collections_server;
