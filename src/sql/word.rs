//! The keywords that the locator tells apart.

macro_rules! words {
    ($($len:literal { $($variant:ident $text:literal),* $(,)? })*) => {
        /// A keyword the locator knows; `Other` is every other word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Word {
            Other,
            $($($variant,)*)*
        }

        /// Which keyword an unquoted identifier is.
        pub(super) fn word(raw: &[u8]) -> Word {
            match raw.len() {
                $($len => {
                    let mut low = [0u8; $len];
                    low.copy_from_slice(raw);
                    low.make_ascii_lowercase();
                    $(if low == *$text { return Word::$variant; })*
                    Word::Other
                })*
                _ => Word::Other,
            }
        }
    };
}

words! {
    2 { As b"as", At b"at", By b"by", Do b"do", In b"in", Is b"is", Of b"of", On b"on", Or b"or", To b"to" }
    3 { All b"all", And b"and", Day b"day", End b"end", For b"for", Not b"not", Old b"old", New b"new", Set b"set" }
    4 { Call b"call", Case b"case", Cast b"cast", Copy b"copy", Drop b"drop", Else b"else", From b"from", Hour b"hour", Into b"into", Join b"join",
        Like b"like", Null b"null", Only b"only", Over b"over", Plan b"plan", Role b"role", Temp b"temp", Then b"then", Trim b"trim", True b"true",
        View b"view", When b"when", With b"with", Work b"work", Year b"year", User b"user" }
    5 { Abort b"abort", Alter b"alter", Begin b"begin", Cross b"cross", Cycle b"cycle", False b"false", Grant b"grant", Group b"group", Ilike b"ilike",
        Merge b"merge", Month b"month", Names b"names", Local b"local", Order b"order", Reset b"reset", Start b"start", Table b"table", Treat b"treat",
        Using b"using", Where b"where", Union b"union", Limit b"limit", Fetch b"fetch", Array b"array" }
    6 { Atomic b"atomic", Binary b"binary", Commit b"commit", Create b"create", Delete b"delete", Escape b"escape", Except b"except", Filter b"filter",
        Global b"global", Having b"having", Import b"import", Insert b"insert", Isnull b"isnull", Minute b"minute", Offset b"offset", Revoke b"revoke",
        Schema b"schema", Search b"search", Second b"second", Select b"select", Update b"update", Values b"values", Window b"window", Within b"within" }
    7 { Analyse b"analyse", Analyze b"analyze", Between b"between", Collate b"collate", Current b"current", Declare b"declare", Default b"default", Discard b"discard",
        Execute b"execute", Explain b"explain", Extract b"extract", Natural b"natural", Notnull b"notnull", Prepare b"prepare", Program b"program",
        Release b"release", Session b"session", Similar b"similar", Varying b"varying", Verbose b"verbose", Without b"without", Uescape b"uescape" }
    8 { Conflict b"conflict", Distinct b"distinct", Function b"function", Operator b"operator", Overlaps b"overlaps", Prepared b"prepared",
        Reassign b"reassign", Rollback b"rollback", Unlogged b"unlogged", Interval b"interval" }
    9 { Character b"character", Intersect b"intersect", Procedure b"procedure", Precision b"precision", Recursive b"recursive", Returning b"returning",
        Savepoint b"savepoint", Temporary b"temporary" }
    10 { Constraint b"constraint", Deallocate b"deallocate", SetConfig b"set_config" }
    11 { Transaction b"transaction" }
    12 { Materialized b"materialized" }
}
