-- What each role may do. A role has the rights of its rows and no others; the program knows what each permission means.

create table permissions (
  role text not null
    constraint permissions_role_known check (role in ('admin', 'manager', 'agent', 'viewer')),
  permission text not null
    constraint permissions_permission_known check (
      permission in (
        'read', 'personal', 'reveal', 'edit', 'manage', 'import', 'export', 'supervise', 'operate', 'administer')),
  constraint permissions_pkey primary key (role, permission),
  -- A user with another role could be made by one who is no admin.
  constraint permissions_administer_is_for_admins check (permission <> 'administer' or role = 'admin')
);

insert into permissions (role, permission)
values
  ('viewer', 'read'),
  ('agent', 'read'),
  ('agent', 'personal'),
  ('agent', 'reveal'),
  ('agent', 'edit'),
  ('manager', 'read'),
  ('manager', 'personal'),
  ('manager', 'reveal'),
  ('manager', 'edit'),
  ('manager', 'manage'),
  ('manager', 'import'),
  ('manager', 'export'),
  ('manager', 'supervise'),
  ('admin', 'read'),
  ('admin', 'personal'),
  ('admin', 'reveal'),
  ('admin', 'edit'),
  ('admin', 'manage'),
  ('admin', 'import'),
  ('admin', 'export'),
  ('admin', 'supervise'),
  ('admin', 'operate'),
  ('admin', 'administer');

grant select, insert, delete on permissions to collections_server;

-- Servers cache what each session may do. A changed role concerns many of them, so all are forgotten.
create function notify_of_changed_permissions() returns trigger
  language plpgsql
as $$
begin
  perform pg_notify('collections_forget', '*');
  return null;
end
$$;

create trigger permissions_notify_of_change
  after insert or update or delete or truncate on permissions
  for each statement execute function notify_of_changed_permissions();
