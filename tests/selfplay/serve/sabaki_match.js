// Sabaki's own GTP client drives two engines through whole games of Go.
//
//   node sabaki_match.js FOLDER GAMES '["program", "argument", …]' '[…]'
//
// FOLDER holds node_modules/@sabaki/gtp. Two games begin with the same four stones, then colours
// swap. Prints one JSON object: the games' moves, each engine's commands, and every answer that was
// no success, had a wrong id, or was no vertex.

const path = require('path')
const [folder, games, ...commands] = process.argv.slice(2)
const {Controller, Command} = require(path.resolve(folder, 'node_modules', '@sabaki', 'gtp'))

const MAX_MOVES = 162
const errors = []
let id = 0

async function send(engine, text) {
  const command = Command.fromString(`${++id} ${text}`)
  const response = await engine.sendCommand(command)
  if (response.error || response.id !== id) errors.push({text, response})
  return response.content
}

function opening(game) {
  let seed = Math.floor(game / 2) + 1
  const points = new Set()
  while (points.size < 4) {
    seed = (seed * 16807) % 2147483647 // Park and Miller's generator
    points.add(seed % 81)
  }
  return [...points].map(point => 'abcdefghj'[point % 9] + (1 + Math.floor(point / 9)))
}

async function play(engines, moves) {
  for (const engine of engines) {
    for (const text of ['boardsize 9', 'komi 7', 'clear_board']) await send(engine, text)
  }
  for (const [number, move] of moves.entries()) {
    for (const engine of engines) await send(engine, `play ${'bw'[number % 2]} ${move}`)
  }
  while (moves.length < MAX_MOVES && moves.slice(-2).join() !== 'pass,pass') {
    const turn = moves.length % 2
    const move = (await send(engines[turn], `genmove ${'bw'[turn]}`)).toLowerCase()
    if (!/^(pass|[a-hj][1-9])$/.test(move)) {
      errors.push({moves, move})
      break
    }
    await send(engines[1 - turn], `play ${'bw'[turn]} ${move}`)
    moves.push(move)
  }
  return moves
}

async function main() {
  const engines = commands.map(command => {
    const [program, ...words] = JSON.parse(command)
    const engine = new Controller(program, words)
    engine.on('stderr', line => process.stderr.write(`${program}: ${line.content}\n`))
    engine.start()
    return engine
  })
  const played = []
  for (let game = 0; game < +games; game++) {
    played.push(await play(game % 2 ? [...engines].reverse() : engines, opening(game)))
  }
  const lists = []
  for (const engine of engines) lists.push(await send(engine, 'list_commands'))
  for (const engine of engines) await engine.stop()
  console.log(JSON.stringify({played, lists, errors}))
}

main()
