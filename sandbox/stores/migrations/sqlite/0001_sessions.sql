-- Times are microseconds since 1970 in UTC: they sort, and nothing is lost.
CREATE TABLE sandbox_instance (
    name TEXT NOT NULL
);

-- Twelve hexadecimal digits that label what this installation makes on the engine.
INSERT INTO sandbox_instance (name) VALUES (lower(hex(randomblob(6))));

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    image TEXT NOT NULL,
    phase TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    container_id TEXT
);

CREATE INDEX sessions_newest ON sessions (created_at, id);

CREATE INDEX sessions_newest_of_user ON sessions (user_id, created_at, id);

-- Not a foreign key: containers that another program made have previews, and no row in sessions.
CREATE TABLE sandbox_links (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    user_id TEXT,
    expires_at INTEGER NOT NULL
);

CREATE INDEX sandbox_links_of_session ON sandbox_links (session_id);

CREATE INDEX sandbox_links_by_end ON sandbox_links (expires_at);
