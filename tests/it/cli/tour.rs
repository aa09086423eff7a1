//! Runs the README's tour.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::harness::app::TestApp;
use crate::harness::process;

/// One code block of the tour.
#[derive(Debug, PartialEq)]
struct Block {
    language: String,
    text: String,
}

impl Block {
    /// The texts after `# → `, which the output must contain.
    fn expected(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| Some(line.split_once("# → ")?.1))
    }
}

fn tour() -> Vec<Block> {
    let readme = include_str!("../../../README.md");
    let chapter = readme.split("## Five-minute tour").nth(1).unwrap().split("\n## ").next().unwrap();
    let fenced = chapter.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            Block { language: language.into(), text: text.into() }
        })
        .collect()
}

/// Runs a block in a shell with the variables and functions of earlier blocks.
async fn run(block: &Block, state: &Path) -> String {
    let state = state.display();
    let script = format!(
        "[ ! -e '{state}' ] || . '{state}'\n{}\n(declare -p api json auth account seen; declare -f) > '{state}' 2>/dev/null",
        block.text
    );
    let output = Command::new("bash").args(["-c", &script]).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_of_the_readme_works() {
    let test = TestApp::start().await;
    process::add_user(&test.database, "manager", "manager", "manager123").await;
    let state = std::env::temp_dir().join(format!("tour-{}", test.database.name));
    let blocks = tour();
    assert!(blocks.iter().flat_map(Block::expected).count() >= 8, "{blocks:?}");
    for mut block in blocks {
        block.text = block.text.replace("http://127.0.0.1:3000", &test.base());
        if block.language == "sql" {
            sqlx::raw_sql(sqlx::AssertSqlSafe(block.text.clone())).execute(&test.database.pool).await.unwrap();
        } else {
            let answer = run(&block, &state).await;
            for expected in block.expected() {
                assert!(answer.to_lowercase().contains(&expected.to_lowercase()), "{}\n{expected}\n{answer}", block.text);
            }
        }
        // Less than a reader needs for the next line.
        test.settle().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&state).ok();
}
