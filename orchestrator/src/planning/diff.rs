//! Two texts, line by line, as people are used to see them.

/// More lines than that are not compared one by one: both texts are shown whole.
const MAX_LINES: usize = 2000;

/// The lines of both, each after `-`, `+` or a blank; nothing when they are the same.
pub(super) fn lines(old: &str, new: &str) -> Vec<String> {
    if old == new {
        return vec![];
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let all = |sign: char, lines: &[&str]| lines.iter().map(|line| format!("{sign}{line}")).collect::<Vec<_>>();
        return [all('-', &old), all('+', &new)].concat();
    }
    walk(&old, &new, &common(&old, &new))
}

/// For each pair of suffixes the length of what they have in common.
fn common(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i][j] = if old[i] == new[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

fn walk(old: &[&str], new: &[&str], common: &[Vec<u16>]) -> Vec<String> {
    let (mut i, mut j, mut lines) = (0, 0, vec![]);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!(" {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("-{}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_stays_and_the_rest_is_taken_out_or_put_in() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), [" a", "-b", "+x", " c", "+d"]);
        assert_eq!(lines("a", "a"), Vec::<String>::new());
        assert_eq!(lines("", "a"), ["+a"]);
    }
}
