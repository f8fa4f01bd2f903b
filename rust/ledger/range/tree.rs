// SPDX-License-Identifier: GPL-2.0-only

//! A tree over numbers that tells the largest of any stretch of them.
//!
//! It is an array: the numbers are its second half, and what is at `n` is the larger of what is at
//! `2 n` and `2 n + 1`.

/// Elements of a tree over `numbers` numbers.
pub(crate) fn len(numbers: usize) -> usize {
    2 * numbers.next_power_of_two()
}

/// Makes the tree of `numbers`; there must be as many as it was made for.
pub(crate) fn build(tree: &mut [u64], numbers: impl Iterator<Item = u64>) {
    tree.fill(0);
    let leaves = tree.len() / 2;
    for (leaf, number) in tree[leaves..].iter_mut().zip(numbers) {
        *leaf = number;
    }
    for node in (1..leaves).rev() {
        tree[node] = tree[2 * node].max(tree[2 * node + 1]);
    }
}

/// The first number from place `from` on, before `behind`, that is at least `least`.
pub(crate) fn first_at_least(
    tree: &[u64],
    from: usize,
    behind: usize,
    least: u64,
) -> Option<usize> {
    let leaves = tree.len() / 2;
    if from >= behind {
        return None;
    }
    let mut node = leaves + from;
    while tree[node] < least {
        // To the stretch right of this one: up until there is one, then over.
        while node & 1 == 1 {
            node >>= 1;
        }
        if node == 0 {
            return None;
        }
        node += 1;
    }
    while node < leaves {
        node *= 2;
        if tree[node] < least {
            node += 1;
        }
    }
    (node - leaves < behind).then_some(node - leaves)
}

/// Changes one number.
pub(crate) fn update(tree: &mut [u64], at: usize, number: u64) {
    let mut node = tree.len() / 2 + at;
    tree[node] = number;
    while node > 1 {
        node /= 2;
        let larger = tree[2 * node].max(tree[2 * node + 1]);
        if tree[node] == larger {
            return;
        }
        tree[node] = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec;

    #[test]
    fn agrees_with_a_search() {
        let most = if cfg!(miri) { 5 } else { 20 };
        for count in 0..most as usize {
            let mut numbers: std::vec::Vec<u64> = (0..count as u64).map(|n| n * 7 % 5).collect();
            let mut tree = vec![0; len(count)];
            build(&mut tree, numbers.iter().copied());
            for change in 0..4 * count {
                let (at, number) = (change * 5 % count, change as u64 % 3);
                numbers[at] = number;
                update(&mut tree, at, number);
                for from in 0..=count {
                    for behind in 0..=count {
                        for least in 1..6 {
                            let found = (from..behind).find(|at| numbers[*at] >= least);
                            assert_eq!(first_at_least(&tree, from, behind, least), found);
                        }
                    }
                }
            }
        }
    }
}
