//! One table: fields by dialects.

use crate::Fate;

pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Fate>)>,
}

impl Table {
    pub(crate) fn new(by: &str, dialect: &str) -> Self {
        Self { title: format!("{by} in {dialect}"), columns: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn put(&mut self, field: &str, column: &str, fate: Fate) {
        if self.columns.last().is_none_or(|last| last != column) {
            self.columns.push(column.to_owned());
        }
        match self.rows.iter_mut().find(|(name, _)| name == field) {
            Some((_, fates)) => fates.push(fate),
            None => self.rows.push((field.to_owned(), vec![fate])),
        }
    }

    /// The table, without fields that cannot be said at all.
    pub(crate) fn write(&self) -> String {
        let mut out =
            format!("\n### {}\n\n| field | {} |\n| --- |", self.title, self.columns.join(" | "));
        out.push_str(&" --- |".repeat(self.columns.len()));
        out.push('\n');
        for (field, fates) in &self.rows {
            if fates.iter().all(|fate| *fate == Fate::Unsaid) {
                continue;
            }
            let words: Vec<&str> = fates.iter().map(word).collect();
            out.push_str(&format!("| {field} | {} |\n", words.join(" | ")));
        }
        out
    }
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Unsaid => "–",
        Fate::Kept => "kept",
        Fate::Emulated => "emulated",
        Fate::Changed => "changed",
        Fate::Dropped => "dropped",
        Fate::Refused => "refused",
        Fate::Silent(_) => "LOST",
    }
}
