//! The values that an extractor gives for a frame, as libvmaf 3.2 names and orders them.

/// One value of a frame: its place in the table of its extractor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Output(pub(crate) usize);

/// When an output has a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Where a model reads it, the extractor was asked for by name, or every column is wanted. It
    /// costs time of its own.
    Asked,
    /// Where the option of this name is true.
    Flag(&'static str),
    /// Where both options of these names are true.
    Flags(&'static str, &'static str),
}

/// One output with libvmaf's internal name and, where it has one, the shorter name in logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputSpec {
    pub(super) name: &'static str,
    pub(super) alias: Option<&'static str>,
    pub(super) when: When,
    /// Known only when all frames are: libvmaf writes it after everything else.
    pub(super) at_end: bool,
    /// Options leave its name alone.
    pub(super) without_options: bool,
}

impl OutputSpec {
    /// Always there, under its one name.
    pub(super) const fn plain(name: &'static str) -> Self {
        Self { name, alias: None, when: When::Always, at_end: false, without_options: false }
    }

    /// There where `debug=true`.
    pub(super) const fn debug(name: &'static str) -> Self {
        Self::plain(name).when(When::Flag("debug"))
    }

    pub(super) const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    pub(super) const fn called(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    pub(super) const fn at_end(mut self) -> Self {
        self.at_end = true;
        self
    }

    pub(super) const fn without_options(mut self) -> Self {
        self.without_options = true;
        self
    }

    /// What it is called in logs where no option has a part in its name.
    pub(super) fn key(&self) -> &'static str {
        self.alias.unwrap_or(self.name)
    }
}
