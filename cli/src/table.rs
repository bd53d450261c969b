//! Tables for the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

/// What a table is like besides its text.
#[derive(Default)]
pub struct Layout {
    /// The columns whose text stands on the right.
    pub right: &'static [usize],
    /// The columns that a narrow terminal can do without, the first to go first.
    pub spare: &'static [usize],
}

/// A table whose header is underlined. If it is too wide for a terminal of `width` columns it goes without what it can
/// spare, and then in several lines a row.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], layout: &Layout, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header).add_rows(rows);
    for (number, column) in table.column_iter_mut().enumerate() {
        let alignment = if layout.right.contains(&number) { CellAlignment::Right } else { CellAlignment::Left };
        column.set_padding((0, 1)).set_cell_alignment(alignment);
    }
    if let Some(width) = width {
        let too_wide = |table: &Table| {
            let widest = table.lines().map(|line| line.chars().count()).max();
            widest.is_some_and(|widest| widest > width.into())
        };
        for &spare in layout.spare {
            if too_wide(&table)
                && let Some(column) = table.column_mut(spare)
            {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.trim_fmt()
}

/// How many columns the terminal has, if standard output is one.
#[cfg(unix)]
pub fn terminal() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col).filter(|&columns| columns > 0)
}

/// That is not known.
#[cfg(not(unix))]
pub fn terminal() -> Option<u16> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_is_spared_what_it_can_do_without() {
        let rows = [["smtp", "TLS_AES_256_GCM_SHA384", "the server refused for now: 454 not now"].map(str::to_owned)];
        let layout = Layout { right: &[], spare: &[1] };
        let widest = |width| {
            let table = table(["Protocol", "Suite", "Result"], &rows, &layout, width);
            (
                table.lines().map(|line| line.chars().count()).max().unwrap(),
                table.contains("SHA384"),
                table.lines().count(),
            )
        };
        assert_eq!([widest(None), widest(Some(120))], [(74, true, 3); 2]);
        assert_eq!(widest(Some(60)), (50, false, 3));
        let (wide, shown, lines) = widest(Some(40));
        assert!(wide <= 40 && !shown && lines == 4, "{wide} {lines}");
    }
}
