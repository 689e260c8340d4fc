;; The gates of an LSTM's step, forward and backward, in the memory of the wasm backend. `scripts/kernels.mjs` makes
;; recurrent-kernel.ts of this, as it does of math.wat. Rows of z and of its gradient have the four gates beside each other,
;; `units` float32 each: input, forget, candidate, output. Rows of `gates` have them after their activations, and the tanh of
;; the new carry as a fifth. Each value comes from its own inputs alone, in a fixed order, so that lanes and rows do not
;; matter to its bits.
(module
  (import "env" "memory" (memory 1))

  ;; Four float32; where fewer than four are left, the other lanes are 0.
  (func $read (param $at i32) (param $left i32) (result v128)
    (local $x v128)
    (if (i32.ge_s (local.get $left) (i32.const 4)) (then (return (v128.load (local.get $at)))))
    (local.set $x (v128.load32_zero (local.get $at)))
    (if (i32.gt_s (local.get $left) (i32.const 1))
      (then (local.set $x (v128.load32_lane offset=4 1 (local.get $at) (local.get $x)))))
    (if (i32.gt_s (local.get $left) (i32.const 2))
      (then (local.set $x (v128.load32_lane offset=8 2 (local.get $at) (local.get $x)))))
    (local.get $x))

  (func $write (param $at i32) (param $left i32) (param $x v128)
    (if (i32.ge_s (local.get $left) (i32.const 4))
      (then (v128.store (local.get $at) (local.get $x)) (return)))
    (v128.store32_lane 0 (local.get $at) (local.get $x))
    (if (i32.gt_s (local.get $left) (i32.const 1))
      (then (v128.store32_lane offset=4 1 (local.get $at) (local.get $x))))
    (if (i32.gt_s (local.get $left) (i32.const 2))
      (then (v128.store32_lane offset=8 2 (local.get $at) (local.get $x)))))

  ;; e to the power of x, for x of at most 0: 2 to the nearest integer, and a Taylor series of what is left. Below -87 it stays
  ;; at that value, 1e-38. NaN stays NaN.
  (func $exp (param $x v128) (result v128)
    (local $n v128) (local $p v128)
    (local.set $x (f32x4.max (local.get $x) (f32x4.splat (f32.const -87))))
    (local.set $n (f32x4.nearest (f32x4.mul (local.get $x) (f32x4.splat (f32.const 1.44269504088896)))))
    ;; ln 2 in two parts, the first of few bits, so that its product is exact.
    (local.set $x (f32x4.sub (local.get $x) (f32x4.mul (local.get $n) (f32x4.splat (f32.const 0.693359375)))))
    (local.set $x (f32x4.add (local.get $x) (f32x4.mul (local.get $n) (f32x4.splat (f32.const 2.12194440e-4)))))
    (local.set $p (f32x4.splat (f32.const 1.98412698412698e-4)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (f32x4.splat (f32.const 1.38888888888889e-3))))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (f32x4.splat (f32.const 8.33333333333333e-3))))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (f32x4.splat (f32.const 4.16666666666667e-2))))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (f32x4.splat (f32.const 1.66666666666667e-1))))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (f32x4.splat (f32.const 0.5))))
    (local.set $p (f32x4.mul (f32x4.mul (local.get $p) (local.get $x)) (local.get $x)))
    (local.set $p (f32x4.add (f32x4.add (local.get $p) (local.get $x)) (f32x4.splat (f32.const 1))))
    (f32x4.mul (local.get $p)
      (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (i32x4.splat (i32.const 127))) (i32.const 23))))

  (func $sigmoid (param $x v128) (result v128)
    (local $e v128) (local $one v128) (local $small v128)
    (local.set $one (f32x4.splat (f32.const 1)))
    (local.set $e (call $exp (f32x4.neg (f32x4.abs (local.get $x)))))
    (local.set $small (f32x4.div (local.get $e) (f32x4.add (local.get $one) (local.get $e))))
    ;; 1 - small loses nothing: small is at most a half.
    (v128.bitselect (local.get $small) (f32x4.sub (local.get $one) (local.get $small))
      (f32x4.lt (local.get $x) (f32x4.splat (f32.const 0)))))

  ;; Near 0 an odd polynomial (relative error 1e-7), since 1 - e loses digits there.
  (func $tanh (param $x v128) (result v128)
    (local $square v128) (local $p v128) (local $e v128) (local $one v128) (local $size v128)
    (local.set $one (f32x4.splat (f32.const 1)))
    (local.set $size (f32x4.abs (local.get $x)))
    (local.set $square (f32x4.mul (local.get $x) (local.get $x)))
    (local.set $p (f32x4.splat (f32.const -5.691985599696636e-3)))
    (local.set $p
      (f32x4.add (f32x4.mul (local.get $p) (local.get $square)) (f32x4.splat (f32.const 2.0626291632652283e-2))))
    (local.set $p
      (f32x4.add (f32x4.mul (local.get $p) (local.get $square)) (f32x4.splat (f32.const -5.373531952500343e-2))))
    (local.set $p
      (f32x4.add (f32x4.mul (local.get $p) (local.get $square)) (f32x4.splat (f32.const 1.3331381976604462e-1))))
    (local.set $p
      (f32x4.add (f32x4.mul (local.get $p) (local.get $square)) (f32x4.splat (f32.const -3.333328068256378e-1))))
    (local.set $p
      (f32x4.add (local.get $x) (f32x4.mul (f32x4.mul (local.get $p) (local.get $square)) (local.get $x))))
    (local.set $e (call $exp (f32x4.mul (local.get $size) (f32x4.splat (f32.const -2)))))
    (local.set $e
      (f32x4.div (f32x4.sub (local.get $one) (local.get $e)) (f32x4.add (local.get $one) (local.get $e))))
    ;; With the sign of x.
    (local.set $e (v128.bitselect (local.get $x) (local.get $e) (i32x4.splat (i32.const 0x80000000))))
    (v128.bitselect (local.get $e) (local.get $p) (f32x4.gt (local.get $size) (f32x4.splat (f32.const 0.625)))))

  ;; Keras's: x / 5 + 0.5, between 0 and 1.
  (func $hardSigmoid (param $x v128) (result v128)
    (f32x4.min (f32x4.splat (f32.const 1))
      (f32x4.max (f32x4.splat (f32.const 0))
        (f32x4.add (f32x4.mul (local.get $x) (f32x4.splat (f32.const 0.2))) (f32x4.splat (f32.const 0.5))))))

  (func $gate (param $at i32) (param $left i32) (param $isHard i32) (result v128)
    (if (result v128) (local.get $isHard)
      (then (call $hardSigmoid (call $read (local.get $at) (local.get $left))))
      (else (call $sigmoid (call $read (local.get $at) (local.get $left))))))

  ;; Reads z and the carry of `rows` rows; writes the new carry, the output and the gates.
  (func (export "lstmForward") (param $rows i32) (param $units i32) (param $isHard i32) (param $z i32) (param $carry i32)
      (param $newCarry i32) (param $output i32) (param $gates i32)
    (local $left i32) (local $width i32) (local $i v128) (local $f v128) (local $g v128) (local $o v128) (local $c v128)
    (local.set $width (i32.shl (local.get $units) (i32.const 2)))
    (loop $down
      (local.set $left (local.get $units))
      (loop $right
        (local.set $i (call $gate (local.get $z) (local.get $left) (local.get $isHard)))
        (local.set $f
          (call $gate (i32.add (local.get $z) (local.get $width)) (local.get $left) (local.get $isHard)))
        (local.set $g
          (call $tanh
            (call $read (i32.add (local.get $z) (i32.shl (local.get $width) (i32.const 1))) (local.get $left))))
        (local.set $o
          (call $gate
            (i32.add (local.get $z) (i32.mul (local.get $width) (i32.const 3))) (local.get $left) (local.get $isHard)))
        (local.set $c
          (f32x4.add
            (f32x4.mul (local.get $f) (call $read (local.get $carry) (local.get $left)))
            (f32x4.mul (local.get $i) (local.get $g))))
        (call $write (local.get $newCarry) (local.get $left) (local.get $c))
        (local.set $c (call $tanh (local.get $c)))
        (call $write (local.get $output) (local.get $left) (f32x4.mul (local.get $o) (local.get $c)))
        (call $write (local.get $gates) (local.get $left) (local.get $i))
        (call $write (i32.add (local.get $gates) (local.get $width)) (local.get $left) (local.get $f))
        (call $write
          (i32.add (local.get $gates) (i32.shl (local.get $width) (i32.const 1))) (local.get $left) (local.get $g))
        (call $write
          (i32.add (local.get $gates) (i32.mul (local.get $width) (i32.const 3))) (local.get $left) (local.get $o))
        (call $write
          (i32.add (local.get $gates) (i32.shl (local.get $width) (i32.const 2))) (local.get $left) (local.get $c))
        (local.set $z (i32.add (local.get $z) (i32.const 16)))
        (local.set $carry (i32.add (local.get $carry) (i32.const 16)))
        (local.set $newCarry (i32.add (local.get $newCarry) (i32.const 16)))
        (local.set $output (i32.add (local.get $output) (i32.const 16)))
        (local.set $gates (i32.add (local.get $gates) (i32.const 16)))
        (br_if $right (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 4))) (i32.const 0))))
      ;; `left` is now 0 or less: what the last four lanes reached beyond the row.
      (local.set $left (i32.shl (local.get $left) (i32.const 2)))
      (local.set $carry (i32.add (local.get $carry) (local.get $left)))
      (local.set $newCarry (i32.add (local.get $newCarry) (local.get $left)))
      (local.set $output (i32.add (local.get $output) (local.get $left)))
      (local.set $z
        (i32.add (i32.add (local.get $z) (local.get $left)) (i32.mul (local.get $width) (i32.const 3))))
      (local.set $gates
        (i32.add (i32.add (local.get $gates) (local.get $left)) (i32.shl (local.get $width) (i32.const 2))))
      (br_if $down (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; The derivative of a gate's activation, from its value. The hard one is flat where it was cut.
  (func $slope (param $value v128) (param $isHard i32) (result v128)
    (if (result v128) (local.get $isHard)
      (then
        (v128.and (f32x4.splat (f32.const 0.2))
          (v128.and
            (f32x4.gt (local.get $value) (f32x4.splat (f32.const 0)))
            (f32x4.lt (local.get $value) (f32x4.splat (f32.const 1))))))
      (else (f32x4.mul (local.get $value) (f32x4.sub (f32x4.splat (f32.const 1)) (local.get $value))))))

  ;; 1 - x²
  (func $tanhSlope (param $x v128) (result v128)
    (f32x4.sub (f32x4.splat (f32.const 1)) (f32x4.mul (local.get $x) (local.get $x))))

  ;; Reads the gates, the carry before the step, and the gradients of output and new carry; writes those of z and of the carry.
  (func (export "lstmBackward") (param $rows i32) (param $units i32) (param $isHard i32) (param $gates i32)
      (param $carry i32) (param $dOutput i32) (param $dNewCarry i32) (param $dz i32) (param $dCarry i32)
    (local $left i32) (local $width i32) (local $i v128) (local $f v128) (local $g v128) (local $o v128) (local $tanh v128)
    (local $d v128) (local $dc v128)
    (local.set $width (i32.shl (local.get $units) (i32.const 2)))
    (loop $down
      (local.set $left (local.get $units))
      (loop $right
        (local.set $i (call $read (local.get $gates) (local.get $left)))
        (local.set $f (call $read (i32.add (local.get $gates) (local.get $width)) (local.get $left)))
        (local.set $g
          (call $read (i32.add (local.get $gates) (i32.shl (local.get $width) (i32.const 1))) (local.get $left)))
        (local.set $o
          (call $read (i32.add (local.get $gates) (i32.mul (local.get $width) (i32.const 3))) (local.get $left)))
        (local.set $tanh
          (call $read (i32.add (local.get $gates) (i32.shl (local.get $width) (i32.const 2))) (local.get $left)))
        (local.set $d (call $read (local.get $dOutput) (local.get $left)))
        (local.set $dc
          (f32x4.add
            (call $read (local.get $dNewCarry) (local.get $left))
            (f32x4.mul (f32x4.mul (local.get $d) (local.get $o)) (call $tanhSlope (local.get $tanh)))))
        (call $write (local.get $dz) (local.get $left)
          (f32x4.mul (f32x4.mul (local.get $dc) (local.get $g)) (call $slope (local.get $i) (local.get $isHard))))
        (call $write (i32.add (local.get $dz) (local.get $width)) (local.get $left)
          (f32x4.mul
            (f32x4.mul (local.get $dc) (call $read (local.get $carry) (local.get $left)))
            (call $slope (local.get $f) (local.get $isHard))))
        (call $write (i32.add (local.get $dz) (i32.shl (local.get $width) (i32.const 1))) (local.get $left)
          (f32x4.mul (f32x4.mul (local.get $dc) (local.get $i)) (call $tanhSlope (local.get $g))))
        (call $write (i32.add (local.get $dz) (i32.mul (local.get $width) (i32.const 3))) (local.get $left)
          (f32x4.mul (f32x4.mul (local.get $d) (local.get $tanh)) (call $slope (local.get $o) (local.get $isHard))))
        (call $write (local.get $dCarry) (local.get $left) (f32x4.mul (local.get $dc) (local.get $f)))
        (local.set $gates (i32.add (local.get $gates) (i32.const 16)))
        (local.set $carry (i32.add (local.get $carry) (i32.const 16)))
        (local.set $dOutput (i32.add (local.get $dOutput) (i32.const 16)))
        (local.set $dNewCarry (i32.add (local.get $dNewCarry) (i32.const 16)))
        (local.set $dz (i32.add (local.get $dz) (i32.const 16)))
        (local.set $dCarry (i32.add (local.get $dCarry) (i32.const 16)))
        (br_if $right (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 4))) (i32.const 0))))
      (local.set $left (i32.shl (local.get $left) (i32.const 2)))
      (local.set $carry (i32.add (local.get $carry) (local.get $left)))
      (local.set $dOutput (i32.add (local.get $dOutput) (local.get $left)))
      (local.set $dNewCarry (i32.add (local.get $dNewCarry) (local.get $left)))
      (local.set $dCarry (i32.add (local.get $dCarry) (local.get $left)))
      (local.set $gates
        (i32.add (i32.add (local.get $gates) (local.get $left)) (i32.shl (local.get $width) (i32.const 2))))
      (local.set $dz
        (i32.add (i32.add (local.get $dz) (local.get $left)) (i32.mul (local.get $width) (i32.const 3))))
      (br_if $down (local.tee $rows (i32.sub (local.get $rows) (i32.const 1)))))))
