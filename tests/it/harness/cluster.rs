//! A Postgres of its own for the tests that stop it, hold back its commits, or change its settings.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, PgConnection};

/// A private cluster, stopped and removed when this value is dropped.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster with `wal_level=logical`.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Makes and starts one with more settings.
    pub async fn start_with(settings: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("it-cluster-{}", collections::values::ids::new().simple()));
        std::fs::create_dir(&folder).unwrap();
        let cluster = Self { folder, port: crate::harness::process::free_port().await };
        if is_root() {
            run(Command::new("chown").arg(server_user().0).arg(&cluster.folder));
        }
        run(cluster.tool("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]));
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nwal_level = logical\nmax_connections = 200\n\
             {settings}\n",
            cluster.port
        );
        let file = cluster.folder.join("data/postgresql.auto.conf");
        run(as_server_user("sh").args(["-c", &format!("cat > '{}' <<'END'\n{settings}END", file.display())]));
        cluster.launch();
        cluster
    }

    /// Starts the server again after [`Cluster::stop`].
    pub fn launch(&self) {
        let log = self.folder.join("log");
        run(self.tool("pg_ctl").args(["-w", "-t", "60", "-l"]).arg(log).arg("start").stdin(std::process::Stdio::null()));
    }

    /// Stops the server: `fast`, or `immediate` as a crash would.
    pub fn stop(&self, mode: &str) {
        run(self.tool("pg_ctl").args(["-w", "-m", mode, "stop"]));
    }

    /// Copies the data of a stopped server.
    pub fn copy(&self) -> PathBuf {
        let backup = self.folder.join("backup");
        run(as_server_user("cp").arg("-a").arg(self.folder.join("data")).arg(&backup));
        backup
    }

    /// Puts a copy back, as the snapshot of a disk is: nothing tells the server of it.
    pub fn put_back(&self, backup: &Path) {
        let data = self.folder.join("data");
        std::fs::remove_dir_all(&data).unwrap();
        run(as_server_user("mv").arg(backup).arg(&data));
    }

    /// Puts a copy back, as a backup is restored: the server recovers to its end and begins a new timeline.
    pub fn restore(&self, backup: &Path) {
        self.put_back(backup);
        let data = self.folder.join("data");
        let recover = "touch recovery.signal && echo \"restore_command = 'false'\" >> postgresql.auto.conf";
        run(as_server_user("sh").args(["-c", &format!("cd '{}' && {recover}", data.display())]));
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    /// How to reach the server's first database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs a statement on the server's first database.
    pub async fn execute(&self, statement: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// Connects as the superuser, waiting for a server that is just starting.
    pub async fn connect(&self) -> PgConnection {
        self.connect_to("postgres").await
    }

    /// Connects to another database.
    pub async fn connect_to(&self, database: &str) -> PgConnection {
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}", self.port);
        for _ in 0..100 {
            if let Ok(connection) = PgConnection::connect(&url).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the private cluster accepts connections");
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = as_server_user(&format!("{}/{name}", binaries()));
        command.arg("-D").arg(self.folder.join("data"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tool("pg_ctl").args(["-w", "-m", "immediate", "stop"]).output().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

fn binaries() -> String {
    std::env::var("POSTGRES_BIN").expect("POSTGRES_BIN is the folder of initdb and pg_ctl; bin/test sets it")
}

/// The user that runs the servers: the owner of the binaries, since Postgres refuses to run as root.
fn server_user() -> (String, String) {
    let owner = std::fs::metadata(binaries()).expect("the folder POSTGRES_BIN exists");
    if owner.uid() == 0 { ("65534".into(), "65534".into()) } else { (owner.uid().to_string(), owner.gid().to_string()) }
}

/// The command as the user that may run Postgres.
fn as_server_user(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let (user, group) = server_user();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &group, "--clear-groups", "--", program]).current_dir("/");
    command
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
