//go:build !race

package sim

// seedsOfAll is how many seeds TestSeeds plays where nobody says a number.
const seedsOfAll = 2
