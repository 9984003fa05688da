//! Where in an event the columns' values stand: the trie of all their JSON Pointers.

use super::Column;

/// One place in an event.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The columns whose value stands here.
    pub(super) columns: Vec<usize>,
    /// The steps further in that lead to columns: names of fields, or the indices of items.
    pub(super) steps: Vec<Box<str>>,
    /// The places that the steps lead to.
    pub(super) children: Vec<Node>,
}

impl Node {
    /// The trie of these columns' places; all paths are valid.
    pub(super) fn root(columns: &[Column]) -> Node {
        let mut root = Node::default();
        for (i, column) in columns.iter().enumerate() {
            let steps = column.steps().expect("paths are checked when a decoder is made");
            root.place(&steps).columns.push(i);
        }
        root
    }

    /// True when nothing stands further in.
    pub(super) fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// Every column here and further in.
    pub(super) fn for_each_column(&self, act: &mut impl FnMut(usize)) {
        self.columns.iter().for_each(|i| act(*i));
        self.children.iter().for_each(|child| child.for_each_column(act));
    }

    fn place(&mut self, steps: &[String]) -> &mut Node {
        let Some((first, rest)) = steps.split_first() else { return self };
        let i = self.steps.iter().position(|step| **step == **first).unwrap_or_else(|| {
            self.steps.push(first.as_str().into());
            self.children.push(Node::default());
            self.steps.len() - 1
        });
        self.children[i].place(rest)
    }
}
