//! `collections kibana import` and `export`: saved objects into a Kibana, and out of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::kibana::client::{Existing, Kibana, RoleState};
use crate::kibana::{self, SavedObject};

#[derive(Args)]
pub(super) struct Import {
    /// Replace what is there, edited or not.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub(super) struct Export {
    /// The folder: `kibana` in a checkout.
    folder: PathBuf,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
struct Server {
    /// Kibana: `http://user:password@host:5601`, percent-encoded.
    #[arg(long = "kibana-url", env = "KIBANA_URL", hide_env_values = true)]
    url: String,
    /// The space of the dashboards, which is created.
    #[arg(long, env = "KIBANA_SPACE", default_value = "collections")]
    space: String,
    /// Longest wait for Kibana to start, in seconds.
    #[arg(long, default_value_t = 300)]
    wait: u64,
    /// Prefix of the names of all indices and aliases.
    #[arg(long, env = "INDEX_PREFIX", default_value = "collections")]
    index_prefix: String,
}

impl Server {
    async fn open(&self) -> anyhow::Result<Kibana> {
        let client = Kibana::open(&self.url, &self.space)?;
        client.wait(Duration::from_secs(self.wait)).await?;
        Ok(client)
    }
}

impl Import {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        let client = self.server.open().await?;
        client.create_space().await?;
        match client.create_role(&self.server.index_prefix, existing).await? {
            RoleState::Written => println!("role analyst written"),
            RoleState::Kept => println!("role analyst kept as it is"),
            RoleState::NoSecurity => println!("no role: the security of kibana is off"),
        }
        let objects: Vec<SavedObject> = kibana::files()?.into_iter().flat_map(|file| file.objects).collect();
        let done = client.import(&objects, &self.server.index_prefix, existing).await?;
        println!("{} objects written to the space {}, {} kept as they are", done.written, self.server.space, done.kept);
        if done.kept > 0 {
            println!("--force replaces what was kept, with all edits");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let files = kibana::files()?;
        let known: Vec<SavedObject> = files.iter().flat_map(|file| file.objects.clone()).collect();
        let mut exported = self.server.open().await?.export(&known, &self.server.index_prefix).await?;
        for mut file in files {
            let is_of_file = |object: &SavedObject| file.objects.iter().any(|one| one.kind == object.kind && one.id == object.id);
            let (mut own, others): (Vec<_>, Vec<_>) = exported.into_iter().partition(is_of_file);
            exported = others;
            // In the order of the file, so that a comparison shows what was edited.
            own.sort_by_key(|object| file.objects.iter().position(|one| one.id == object.id));
            file.objects = own;
            let path = self.folder.join(&file.name);
            std::fs::write(&path, kibana::write(&file.objects)?).with_context(|| format!("cannot write {}", path.display()))?;
        }
        for object in &exported {
            println!("new, and in no file: {} {} ({})", object.kind, object.id, object.title());
        }
        println!("{} objects exported; `collections kibana check {}` checks them", known.len(), self.folder.display());
        Ok(ExitCode::SUCCESS)
    }
}
