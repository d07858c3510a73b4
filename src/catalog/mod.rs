//! What the server says about relations: the questions asked inside a client's session, and their answers.

pub mod facts;
pub mod question;
