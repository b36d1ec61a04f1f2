package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pqfront/internal/atomicfile"
	"pqfront/internal/edge/viewertls"
)

// ticketStore keeps the ticket keys over a restart, so that viewers resume. The file is
// secret: whoever has a key reads the sessions that its tickets resume.
type ticketStore struct {
	path string
	keys *viewertls.TicketKeys
}

// openTickets reads the keys of an earlier run, those that still live, or makes the first.
func openTickets(state string, now time.Time) (*ticketStore, error) {
	s := &ticketStore{path: filepath.Join(state, "ticket-keys.json"), keys: viewertls.NewTicketKeys(now)}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.save()
	}
	if err != nil {
		return nil, fmt.Errorf("reading ticket keys: %w", err)
	}
	var kept []viewertls.TicketKey
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): remove it, sessions are then not resumed once", s.path, err)
	}
	if err := s.keys.Import(kept, now); err != nil {
		return nil, err
	}
	return s, s.save()
}

// save replaces the file as a whole.
func (s *ticketStore) save() error {
	text, err := json.Marshal(s.keys.Export())
	if err != nil {
		return err
	}
	return atomicfile.Write(s.path, append(text, '\n'), 0o600)
}
