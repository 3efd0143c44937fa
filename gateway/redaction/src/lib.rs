//! Finds secrets in streams of bytes, whatever they are written as.
