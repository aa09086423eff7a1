//! What analysts see: indices without persons, and what Kibana makes of them.

mod days;
mod figures;
mod indices;
mod kibana;
mod listener;
mod panels;
mod persons;
