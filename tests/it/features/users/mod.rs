//! Users: who may do what with them, how they become users, how they get back in.

mod crud;
mod invitations;
mod profile;
mod resets;
mod roles;
mod supervisors;

use std::path::PathBuf;

use collections::auth::Role;
use collections::features::users::deliver_due;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};

/// A password that no rule refuses.
const NEW_PASSWORD: &str = "a purple bicycle";

/// An application whose mail goes into a folder.
struct Mailed {
    test: TestApp,
    folder: PathBuf,
}

impl Mailed {
    async fn start(more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("it-mail-{}", collections::values::ids::new()));
        let path = folder.display().to_string();
        let test = TestApp::start_api(&[&["--mail-dir", &path], more].concat()).await;
        Self { test, folder }
    }

    /// Sends what is due; returns all mail so far, the latest last.
    async fn deliver(&self) -> Vec<String> {
        deliver_due(&self.test.app).await.unwrap();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Sends what is due; returns the token of the latest mail.
    async fn token(&self) -> String {
        token_of(self.deliver().await.last().expect("there is mail"))
    }
}

impl Drop for Mailed {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The token in a mail, which has a line of its own.
fn token_of(mail: &str) -> String {
    let is_token =
        |line: &&str| line.len() == 24 && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    mail.lines().map(str::trim).find(is_token).unwrap_or_else(|| panic!("no token in {mail}")).to_owned()
}

/// Makes a user through HTTP, with an e-mail address.
async fn make(client: &Client, username: &str, role: Role) -> Value {
    let email = format!("{username}@example.org");
    let body = json!({ "username": username, "password": NEW_PASSWORD, "role": role.as_str(), "email": email });
    client.post("/users", &body).await.expect(201)
}

fn path(user: &Value) -> String {
    format!("/users/{}", user["id"].as_str().unwrap())
}

async fn log_in(test: &TestApp, username: &str, password: &str) -> Answer {
    test.anonymous().post("/auth/login", &json!({ "username": username, "password": password })).await
}

/// A signed-in caller who was made through HTTP.
async fn signed_in(test: &TestApp, username: &str) -> Client {
    let answer = log_in(test, username, NEW_PASSWORD).await.expect(200);
    test.anonymous().with_token(answer["access_token"].as_str().unwrap())
}

/// The places and codes of the faults of a refusal.
fn faults(answer: Answer) -> Vec<String> {
    let body = answer.expect(422);
    let fault = |fault: &Value| format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap());
    let mut faults: Vec<String> = body["errors"].as_array().unwrap().iter().map(fault).collect();
    faults.sort();
    faults
}

/// A problem without the members that differ between requests.
fn bare(answer: Answer) -> (u16, Value) {
    let (status, mut body) = (answer.status, answer.body);
    for member in ["requestId", "timestamp"] {
        if let Some(problem) = body.as_object_mut() {
            problem.remove(member);
        }
    }
    (status, body)
}
