//! Variables `%NAME%` in paths, with the rules of Windows.

/// Replaces each `%NAME%` by the value of the variable, as Windows does; `Err` with the name of an unknown variable. A
/// `%` without a name after it is kept.
pub(super) fn with_variables(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, &str> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('%') {
        out += before;
        let name = after.split_once('%').filter(|(name, _)| !name.is_empty() && name.bytes().all(is_name_byte));
        match name {
            Some((name, behind)) => {
                out += &variable(name).ok_or(name)?;
                rest = behind;
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    Ok(out + rest)
}

fn is_name_byte(byte: u8) -> bool {
    // Parentheses, since Windows has a variable %ProgramFiles(x86)%.
    byte.is_ascii_alphanumeric() || b"_()".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_those_of_windows() {
        let variable = |name: &str| (name == "ProgramData").then(|| r"C:\Data".to_owned());
        let expanded = |text: &str| with_variables(text, variable).map_err(str::to_owned);
        assert_eq!(expanded(r"%ProgramData%\wulog\*.log").unwrap(), r"C:\Data\wulog\*.log");
        assert_eq!(expanded(r"C:\100 %\a%%b").unwrap(), r"C:\100 %\a%%b");
        assert_eq!(expanded(r"C:\50%").unwrap(), r"C:\50%");
        assert_eq!(expanded(r"%Nothing%\wulog").unwrap_err(), "Nothing");
    }
}
