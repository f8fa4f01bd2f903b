// SPDX-License-Identifier: GPL-2.0-only

//! Sorting in place on a small stack.
//!
//! `sort_unstable()` of the standard library keeps kilobytes on the stack, too much for the kernel.

/// Sorts by a key; equal elements may change places. Heapsort: no recursion, `O(n log n)` always.
pub(crate) fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    by(items, |a, b| key(a) < key(b));
}

/// Sorts by an order that tells whether the first is less than the second.
pub(crate) fn by<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let len = items.len();
    for root in (0..len / 2).rev() {
        sink(items, root, &less);
    }
    for end in (1..len).rev() {
        items.swap(0, end);
        sink(&mut items[..end], 0, &less);
    }
}

/// Lets the item at `root` of a heap go down to where it belongs.
fn sink<T>(heap: &mut [T], mut root: usize, less: &impl Fn(&T, &T) -> bool) {
    loop {
        let mut child = 2 * root + 1;
        if child >= heap.len() {
            return;
        }
        if child + 1 < heap.len() && less(&heap[child], &heap[child + 1]) {
            child += 1;
        }
        if !less(&heap[root], &heap[child]) {
            return;
        }
        heap.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn sorts() {
        let mut seed = 1u64;
        for len in 0..100 {
            let mut items: Vec<u64> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    seed >> 60
                })
                .collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            by_key(&mut items, |item| *item);
            assert_eq!(items, expected);
        }
    }
}
