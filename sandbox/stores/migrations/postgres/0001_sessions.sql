CREATE TABLE sandbox_instance (
    name text NOT NULL
);

-- Twelve hexadecimal digits that label what this installation makes on the engine: those of a random UUID
-- that come before its version.
INSERT INTO sandbox_instance (name) VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12));

-- Ids sort by their bytes, whatever the database's language says: pages are the same in every store.
CREATE TABLE sessions (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    image text NOT NULL,
    phase text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    container_id text
);

CREATE INDEX sessions_newest ON sessions (created_at, id);

CREATE INDEX sessions_newest_of_user ON sessions (user_id, created_at, id);

-- Not a foreign key: containers that another program made have previews, and no row in sessions.
CREATE TABLE sandbox_links (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    session_id text COLLATE "C" NOT NULL,
    user_id text,
    expires_at timestamptz NOT NULL
);

CREATE INDEX sandbox_links_of_session ON sandbox_links (session_id);

CREATE INDEX sandbox_links_by_end ON sandbox_links (expires_at);
