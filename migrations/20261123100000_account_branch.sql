-- The branch of the creditor that placed the debt.
alter table accounts
  add column branch text
    constraint accounts_branch_length check (char_length(branch) between 1 and 100);
