//! Rust and SQL normalise text alike.

use collections::values::text;
use unicode_normalization::UnicodeNormalization;

use crate::harness::database::Database;

/// Real names of many languages, and texts that are none.
const NAMES: &[&str] = &[
    "Müller",
    "MÜLLER",
    "Mu\u{308}ller",
    "O'Brien",
    "O’Brien",
    "O`Brien",
    "O´Brien",
    "Straße",
    "GROẞ",
    "Søren",
    "Łódź",
    "İstanbul",
    "ısı",
    "Νίκος Παπαδόπουλος",
    "ΝΙΚΟΣ",
    "Đặng Thị Hồng",
    "Þórður",
    "Æsir Œuvre",
    "Александр Сергеевич Пушкин",
    "Їжак",
    "अनिल कुमार",
    "राष्ट्रीय",
    "நரேந்திரன்",
    "田中 太郎",
    "タナカ・タロウ",
    "が",
    "김철수",
    "محمد بن سلمان",
    "مُحَمَّد",
    "שָׁלוֹם",
    "ไพบูลย์ ลิ้ม",
    "Nguyễn Văn A",
    "Anna-Maria",
    "van den Berg",
    "MacDonald, Jr.",
    "J.R.R. Tolkien",
    "ﬁsh ﬂow",
    "①②",
    "１２３",
    "½ Ⅳ №5",
    "a\u{200b}b\u{200d}c\u{feff}d\u{ad}e",
    "x\ty\nz",
    "🙂 smile 👩‍👩‍👧",
    "100 €",
    "a_b-c.d/e\\f",
    "…",
    "",
    " ",
    "'",
    "ŉ ǰ ΐ",
    "Ǆ ǅ ǆ",
    "K Å",
    "ſ",
    "™ ℠",
    "x²y₃",
    "Ⅻ",
    "ĳ",
    "ª º µ",
    "aͅ",
    "e\u{301}\u{327}",
];

async fn same(database: &Database, values: &[String]) {
    let rows: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "select fold(v), squash(v), suffixes(squash(v)) from unnest($1::text[]) with ordinality as u(v, n) order by n",
    )
    .bind(values)
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), values.len());
    for (value, (fold, squash, suffixes)) in values.iter().zip(rows) {
        assert_eq!(text::fold(value), fold, "fold of {value:?} {:?}", value.escape_unicode().to_string());
        assert_eq!(text::squash(value), squash, "squash of {value:?}");
        assert_eq!(text::suffixes(&squash), suffixes, "suffixes of {value:?}");
    }
}

#[tokio::test]
async fn rust_and_sql_fold_names_alike() {
    let database = Database::create().await;
    same(&database, &NAMES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn rust_and_sql_fold_every_character_alike() {
    let database = Database::create().await;
    // A server whose tables are older than a character leaves it alone; none of those is Latin, Greek or Cyrillic.
    let rows: Vec<(String, String, String)> =
        sqlx::query_as(r#"select v, normalize(v, nfkd), lower(v collate "und-x-icu") from unnest($1::text[]) as u(v)"#)
            .bind(('\u{1}'..='\u{2_ffff}').map(String::from).collect::<Vec<_>>())
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let is_known = |letter: &str, plain: &str, lower: &str| {
        letter < "\u{530}" || (letter.nfkd().eq(plain.chars()) && letter.to_lowercase() == lower)
    };
    // Between two letters, so that blanks and dropped marks show.
    let known = rows.into_iter().filter(|(letter, plain, lower)| is_known(letter, plain, lower));
    let values: Vec<String> = known.map(|(letter, ..)| format!("a{letter}b")).collect();
    assert!(values.len() > 190_000);
    for chunk in values.chunks(20_000) {
        same(&database, chunk).await;
    }
}
