//! Finds the title of an update in the text of a report, in the languages of Windows.
//!
//! ```text
//! Installation Successful: Windows successfully installed the following update: VideoTool 3.2 (KB9990001)
//! Installation Failure: Windows failed to install the following update with error 0x800b0109: VideoTool 3.2.
//! Installationsfehler: Fehler beim Installieren des folgenden Updates mit Fehler 0x800b0109: VideoTool 3.2.
//! Échec de l'installation : l'installation de la mise à jour suivante a échoué avec l'erreur 0x800b0109 : VideoTool 3.2.
//! ```

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::facts::{Facts, bounded};
use super::message::kb;
use super::name_mask;

/// Words that announce the title, in lower case: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian,
/// Chinese, Japanese, Korean.
const ANNOUNCEMENTS: [&str; 14] = [
    "the following update",
    "folgende",
    "suivante",
    "siguiente",
    "seguente",
    "seguinte",
    "volgende",
    "następując",
    "следующ",
    "следующее",
    "以下更新",
    "下列更新",
    "次の更新",
    "다음 업데이트",
];

/// Words that end in a full stop, which does not end a sentence.
const ABBREVIATIONS: [&str; 12] =
    ["Inc.", "Ltd.", "Corp.", "Co.", "Jr.", "e.V.", "S.A.", "S.p.A.", "B.V.", "N.V.", "Pty.", "L.P."];

/// Returns the facts of a report's text; `name` is the title in the text.
pub(super) fn reported<'a>(text: &'a str, name: Option<&'a str>) -> Facts<'a> {
    let title = name.and_then(bounded);
    Facts { kb: title.and_then(kb).or_else(|| kb(text)), title, ..Facts::default() }
}

/// Returns the title in a report's text, of any length. A report that names no update has a title only where the text
/// announces one.
pub(super) fn name(text: &str, has_update: bool) -> Option<&str> {
    let title = announced(text).or_else(|| has_update.then(|| third(text)).flatten());
    let title = title.map(behind_code);
    title.map(|title| without_full_stop(&title[..name_mask::until_next_key(title)]))
}

/// Returns the text after the sentence that announces a title. The sentence ends with a colon, or with a full stop as
/// in `Das folgende Update wurde installiert. TITLE`.
fn announced(text: &str) -> Option<&str> {
    let announcement = ANNOUNCEMENT.find(text)?;
    behind_sentence(&text[announcement.end()..])
}

/// Finds the announcement that ends first. One automaton for all words, since a search for each word took twenty times
/// as long.
static ANNOUNCEMENT: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(ANNOUNCEMENTS)
        .expect("a few short words make a small automaton")
});

/// Returns the text after the first colon or full stop with a blank after it, or after the first wide colon.
fn behind_sentence(text: &str) -> Option<&str> {
    let (end, mark) = text.char_indices().find(|(at, c)| match c {
        ':' | '.' => text[at + 1..].starts_with(BLANKS),
        '\u{ff1a}' => true,
        _ => false,
    })?;
    let rest = text[end + mark.len_utf8()..].trim();
    // `... del seguente aggiornamento. Errore 0x800b0109: TITLE`
    let code = rest.find("0x").filter(|at| mark == '.' && rest[..*at].split(' ').count() <= CODE_WORDS_MAX + 1);
    let title = match code.map(|at| (&rest[at..], behind_code(&rest[at..]))) {
        Some((with_code, title)) if title.len() < with_code.len() => title,
        _ => rest,
    };
    Some(title).filter(|title| !title.is_empty())
}

/// Most words before a code that stands alone between a full stop and a colon: `Codice errore 0x800b0109: `.
const CODE_WORDS_MAX: usize = 3;

/// The blanks after the colon of a sentence.
const BLANKS: [char; 4] = [' ', '\u{a0}', '\u{202f}', '\t'];

/// Returns the third part of `HEAD: SENTENCE: TITLE`, in any language.
fn third(text: &str) -> Option<&str> {
    behind_colon(text).and_then(behind_colon)
}

/// Returns the text after the first colon that ends a sentence: a blank follows the colon.
fn behind_colon(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let at = memchr::memchr_iter(b':', bytes).find(|at| {
        let rest = &text[at + 1..];
        rest.starts_with(BLANKS)
    })?;
    Some(text[at + 1..].trim()).filter(|rest| !rest.is_empty())
}

/// Returns the title after a code with a colon of its own: `Error: 0x800b0109: VideoTool 3.2`, `(hiba: 0x800b0109):
/// VideoTool`.
fn behind_code(title: &str) -> &str {
    let Some(rest) = title.trim_start_matches(['(', '[']).strip_prefix("0x") else { return title };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let rest = rest.trim_start_matches([')', ']', '\u{ff09}']).trim_start_matches(BLANKS);
    match rest.strip_prefix([':', '\u{ff1a}']).map(str::trim) {
        Some(rest) if !rest.is_empty() => rest,
        _ => title,
    }
}

/// Returns the title without the full stop of its sentence.
fn without_full_stop(title: &str) -> &str {
    // Chinese and Japanese have their own full stop, which no abbreviation has.
    let title = title.trim().trim_end_matches('。');
    match title.strip_suffix('.') {
        Some(rest) if rest.ends_with('.') && !rest.ends_with("..") => rest,
        Some(rest) if !ABBREVIATIONS.into_iter().any(|word| title.ends_with(word)) => rest.trim_end(),
        _ => title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_every_language_end_before_the_full_stop() {
        let cases = [
            (
                "Installation Successful: Windows successfully installed the following update: VideoTool 3.2 (KB9990001)",
                "VideoTool 3.2 (KB9990001)",
            ),
            (
                "Installation Failure: Windows failed to install the following update with error 0x800b0109: VideoTool 3.2.",
                "VideoTool 3.2",
            ),
            (
                "Installation Started: Windows has started installing the following update: Update for Contoso Ltd.",
                "Update for Contoso Ltd.",
            ),
            (
                "Installation Failure: Windows failed to install the following update with error 0x800b0109: Tool of Contoso Ltd..",
                "Tool of Contoso Ltd.",
            ),
            (
                "Installationsfehler: Fehler beim Installieren des folgenden Updates mit Fehler 0x800b0109: 2024-03 Kumulatives Update für Windows 10 (KB5035845).",
                "2024-03 Kumulatives Update für Windows 10 (KB5035845)",
            ),
            (
                "Installationsfehler: Die Installation des folgenden Updates ist mit Fehler 0x800b0109 fehlgeschlagen: VideoTool: Codecs 3.2.",
                "VideoTool: Codecs 3.2",
            ),
            ("Installation erfolgreich: Folgendes Update wurde installiert: VideoTool 3.2", "VideoTool 3.2"),
            (
                "Échec de l'installation : l'installation de la mise à jour suivante a échoué avec l'erreur 0x800b0109 : VideoTool 3.2.",
                "VideoTool 3.2",
            ),
            (
                "Installation réussie\u{a0}: Windows a installé la mise à jour suivante\u{a0}: VideoTool 3.2",
                "VideoTool 3.2",
            ),
            (
                "Error de instalación: Windows no pudo instalar la siguiente actualización con el error 0x800b0109: VideoTool 3.2.",
                "VideoTool 3.2",
            ),
            (
                "Ошибка установки: не удалось установить следующее обновление с ошибкой 0x800b0109: VideoTool 3.2.",
                "VideoTool 3.2",
            ),
            (
                "インストールの失敗: エラー 0x800b0109 で次の更新プログラムのインストールに失敗しました: VideoTool 3.2",
                "VideoTool 3.2",
            ),
            ("安装失败: 安装以下更新时失败，错误 0x800b0109: VideoTool 3.2。", "VideoTool 3.2"),
            ("安装失败: 安装以下更新时失败，错误: 0x800b0109: VideoTool 3.2。", "VideoTool 3.2"),
            ("安装失败：Windows 无法安装以下更新，错误为 0x800b0109：VideoTool 3.2。", "VideoTool 3.2"),
            ("설치 실패: 0x800b0109 오류로 인해 다음 업데이트를 설치하지 못했습니다. VideoTool 3.2", "VideoTool 3.2"),
            (
                "Errore di installazione: impossibile installare il seguente aggiornamento. Errore 0x800b0109: VideoTool 3.2.",
                "VideoTool 3.2",
            ),
            (
                "Installation erfolgreich: Das folgende Update wurde installiert. VideoTool 3.2 (KB9990001)",
                "VideoTool 3.2 (KB9990001)",
            ),
            (
                "Installation erfolgreich: Das folgende Update wurde installiert. VideoTool: Codecs 3.2.",
                "VideoTool: Codecs 3.2",
            ),
            (
                "Installation Failure: Windows failed to install the following update with error 0x8024200b: Reader 4.1 (KB9990002), resultUnMapped=800B0109",
                "Reader 4.1 (KB9990002)",
            ),
            (
                "Telepítési hiba: A Windows nem tudta telepíteni a következő frissítést (hiba: 0x800b0109): VideoTool 3.2.",
                "VideoTool 3.2",
            ),
        ];
        for (text, title) in cases {
            assert_eq!(name(text, true), Some(title), "{text}");
        }
    }

    #[test]
    fn texts_without_a_title_have_none() {
        for text in [
            "Error: Download failed.",
            "Download succeeded.",
            "",
            ":",
            "x: ",
            "Reporting client status.",
            "Error: Agent failed detecting with reason: 0x8024402c",
        ] {
            assert_eq!(name(text, false), None, "{text}");
        }
        assert_eq!(name("Error: Download failed.", true), None);
    }
}
