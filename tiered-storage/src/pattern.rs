//! Patterns of names, with `*` for any text. Pure.

/// True when `name` is `pattern`, whose `*` stand for any text.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let head = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let Some(tail) = parts.next_back() else { return rest.is_empty() };
    // The leftmost place of each part leaves most to those after it.
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_text_for_its_star() {
        for (pattern, name, is) in [
            ("*", "ticks", true),
            ("ticks", "ticks", true),
            ("ticks", "ticks.eu", false),
            ("ticks*", "ticks.eu", true),
            ("*.eu", "ticks.eu", true),
            ("t*.*u", "ticks.eu", true),
            ("*.us", "ticks.eu", false),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("", "ticks", false),
            ("", "a", false),
            ("*", "a", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "ab", false),
            ("*b*", "abc", true),
            ("*", "bpi", true),
            ("bpi", "bpi", true),
            ("b*i", "bpi", true),
            ("b*", "api", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), is, "{pattern} {name}");
        }
    }
}
