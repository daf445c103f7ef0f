package lms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// kept is the state file.
type kept struct {
	Version  int                `json:"version"`
	Platform json.RawMessage    `json:"platform"`
	Answers  map[string]answers `json:"answers"`
	Ended    map[string]bool    `json:"ended"`
}

// load reads the state file; one that is not there is a fresh start.
func (l *LMS) load() error {
	if l.cfg.StateFile == "" {
		return nil
	}
	b, err := os.ReadFile(l.cfg.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the demo LMS's state: %w", err)
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil || k.Version != 1 {
		return fmt.Errorf("the demo LMS's state in %s cannot be read; start afresh without it: %w", l.cfg.StateFile, errors.Join(err, errors.New("version 1 is needed")))
	}
	if err := l.p.Import(k.Platform); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.Answers != nil {
		l.answers = k.Answers
	}
	if k.Ended != nil {
		l.ended = k.Ended
	}
	return nil
}

// save writes the state file whole and puts it in place of the old one, so that a
// killed demo has the one or the other. An error is logged: the demo goes on in memory.
func (l *LMS) save() {
	if l.cfg.StateFile == "" || !l.ready {
		return
	}
	l.saving.Lock()
	defer l.saving.Unlock()
	if err := l.write(); err != nil {
		l.log.Error("the demo LMS's state was not saved", "error", err)
	}
}

func (l *LMS) write() error {
	platform, err := l.p.Export()
	if err != nil {
		return err
	}
	l.mu.Lock()
	k := kept{Version: 1, Platform: platform, Answers: map[string]answers{}, Ended: maps.Clone(l.ended)}
	for id, a := range l.answers {
		k.Answers[id] = maps.Clone(a)
	}
	l.mu.Unlock()
	b, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(l.cfg.StateFile), ".lms-*") // mode 0600: it holds keys
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), l.cfg.StateFile)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write: %w", err), os.Remove(f.Name()))
	}
	return nil
}
