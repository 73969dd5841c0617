-- Completing a call changes its row once, soon after it was written. Without an index over open calls, and with room in
-- the page, the new version stays where the old one was and no index is touched. Who looks for the open calls of a run
-- (when the run ends) reads the run's calls, which are counted then anyway.
SET LOCAL ROLE porthole_owner;
SET LOCAL search_path = porthole;

DROP INDEX run_calls_open;
ALTER TABLE run_calls SET (fillfactor = 60);

RESET search_path;
RESET ROLE;
