/**
 * An HDF5 file in h5py's form that leads out of itself in every way of the format: an external link, soft links (one of them through
 * the external one), raw storage in `secret.txt`, a virtual data set over `other.h5`, and a group that contains itself. It also has
 * `own` (F32 2×3), `big` (big-endian F32), `half` (F16) and `flags` (booleans).
 */
import { inflateSync } from 'node:zlib';

export function fileThatLeadsOut(): Buffer {
  return inflateSync(Buffer.from(PACKED.join(''), 'base64'));
}

const PACKED = [
  'eNrtWs1rE0EUf7O7SZaUNtuWtqEXowcJVtN6EBGFpjFJA4YmNBF7TKr5KKZNSbd2PVnBQwS9eBIErYigx15EvIkX6cmLB8E/oHiQ/gNSZ3c+sr',
  'v9tGo/6PwgvHlv3szOxxuG98s8TMWT7f5+P5hQVVBAAzvWKZrnnDqrL1CJqGxS+UZidsWqC1K7Rvs3PERfovb8eCJheq+7wL4zpBCpgsBxRCox',
  'kjXlBI8jgs+S06++MOOIx9RffheBh/SFmB4mUiIG9nmZSrcu48g3PTtDJ4CEcAj6VOi7R+s9OKLNekkiHar0pMiIhXrQNSLjQPchN5aJI+CDg5',
  'AsYnMvkPi+FvpoIWyv99O4aKG6r+Mz91iyRV8nO3FURL3bn8uC19nfXKlW/pfnMpnLJeA0XTKUQbBsFuKrj35uNR+v6xyTmSFEDFHqF+XnVrNc',
  'Nd5E3fS8+vC2Iepjrlm1e/N7ivXbOt/shou6PAsHEI2Lw2SIUfxbxL8la1DDi2TcUTLEK1iJIXF0BQQEBAQEjjx2yrtDXSLvPs5w53tBLzjya3',
  'c+ILA9fxEE5/o1u9150s1GSY/ohr7XvG37PEcF53neNT8hM36CbLgis6mQfrtoj6a2MtF2G+cRR3KfNvI9zvWjNCSXfP1O/im/E1SdGTND80jH',
  '+Z7XLxSg3JkGfg/4AzuuX1jd/GY6XOuXHE9lwWcRPraNZrdshq4SIzI4fehiNf27/Jpia4loNCJoDjDb4/KniLPF6NVMGtnCcAM/wwx1vVpqRK',
  'oXwLC4TTsPINl0jXMhBObU76PZCvN9GhB3gYCAgICAgICAgICAgIDAfiOWT8XBY6bwbVi7FTYoE+HnnEP+7Vo6mcNekEFOSgBtYB+yYECI17yn',
  'nHA/OOXo2nQ+lk8nwePr0NrgpUUbvPowfBZ6cLEXEuevxcBkDDqgVipNwoBV/LUUKMETXAzAWCM3DZcs67uvz6Zh3rL6sq+fW+9QAvAtcvkFjI',
  'L5bCV2Y2UZHli+P75LFbHjhwM78YRuIkym72yCEmmiqa13OcmRdC5hRur49QQLzK15wyHV2TPDwb6rS6bisdZTMIy7H09dRGpULhl6u419GzTw',
  'tOT6wgx7eIdUpMzVy7oCg9iKNZ9ebdTnK1VswG0RKLV6fbb1t43cKC6sck25M9XQv3TzysmpitbDK6vFWjnbyzesXCtW5owzInj/A34Dw0bCdA',
  '==',
];
